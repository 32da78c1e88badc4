// Takes a message or callback, gives the element that shows it. Content is always put in as text, never as markup:
// the page's policy would refuse markup anyway, and a message's own HTML is shown in a sandboxed frame of its own.

const SVG = "http://www.w3.org/2000/svg";
const PLATFORMS = { apple: "APNs", fcmv1: "FCM v1", template: "hub template" };
const GOOD = new Set(["delivered", "opened", "clicked", "verified"]);
const BAD = new Set([
  "bounced",
  "blocked",
  "dropped",
  "complained",
  "unsubscribed",
  "refused",
  "forged",
  "outside-window",
]);

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

export function clock(iso, withDate = false) {
  const at = new Date(iso);
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  return withDate ? `${at.toLocaleDateString()} ${time}` : time;
}

export function chip(state) {
  const kind = GOOD.has(state) ? "good" : BAD.has(state) ? "bad" : state === "deferred" ? "warn" : "calm";
  return el("span", { class: `chip ${kind}` }, state);
}

export function row(item, selected, choose) {
  const line = el(
    "button",
    { type: "button", class: "row", "aria-current": selected ? "true" : null, onclick: choose },
    el("span", { class: `badge ${item.channel}` }, icon(item.channel)),
    el("span", { class: "who" }, item.recipient),
    el("time", { datetime: item.at, title: clock(item.at, true) }, clock(item.at)),
    el("span", { class: "what" }, item.preview || "(no text)"),
    chip(item.state),
  );
  return el("li", { class: item.accepted === false ? "refused" : "" }, line);
}

export function card(item) {
  const body = {
    email: emailBody,
    sms: smsBody,
    push: pushBody,
    webhook: webhookBody,
    slack: slackBody,
    whatsapp: whatsappBody,
    callback: callbackBody,
  }[item.channel];
  return el(
    "article",
    { class: `card ${item.channel}` },
    heading(item),
    item.channel === "callback" ? null : progress(item),
    ...body(item),
    facts(item),
  );
}

function heading(item) {
  const title = {
    email: item.content?.subject,
    sms: "Text message",
    push: "Push notification",
    webhook: "Webhook",
    slack: "Slack message",
    whatsapp: "WhatsApp message",
    callback: "Callback",
  }[item.channel];
  return el(
    "header",
    {},
    el("span", { class: `badge large ${item.channel}` }, icon(item.channel)),
    el("div", { class: "title" }, el("h2", {}, title || "(no subject)"), el("p", {}, ...fromTo(item))),
    el("time", { datetime: item.at }, clock(item.at, true)),
  );
}

function fromTo(item) {
  if (item.channel === "callback") return [el("b", {}, item.recipient), " got it from the service"];
  const sender =
    item.channel === "push"
      ? PLATFORMS[item.sender]
      : item.content?.from?.name
        ? `${item.content.from.name} <${item.sender}>`
        : item.sender;
  return [
    el("span", { class: "label" }, "to "),
    el("b", {}, item.recipient),
    sender
      ? el("span", { class: "from" }, el("span", { class: "label" }, item.channel === "push" ? "by " : "from "), sender)
      : null,
  ].filter(Boolean);
}

function progress(item) {
  const steps = [{ step: item.accepted ? "accepted" : "refused", at: item.at }, ...item.history];
  return el(
    "ol",
    { class: "steps" },
    ...steps.map(({ step, at, receiptTaken }) => {
      const told =
        receiptTaken === undefined || receiptTaken === null
          ? null
          : el(
              "span",
              { class: receiptTaken ? "told" : "untold" },
              receiptTaken ? "receipt taken" : "receipt not taken yet",
            );
      return el(
        "li",
        { class: BAD.has(step) ? "bad" : GOOD.has(step) ? "good" : "" },
        el("b", {}, step),
        el("time", {}, clock(at)),
        told,
      );
    }),
  );
}

function emailBody(item) {
  const views = [];
  if (item.content.html)
    views.push([
      "HTML",
      () => el("iframe", { class: "mail", sandbox: "", src: `/messages/${item.id}/html`, title: "The email's HTML" }),
    ]);
  if (item.content.text) views.push(["Text", () => el("pre", { class: "text" }, item.content.text)]);
  if (item.content.templateData)
    views.push([
      "Template data",
      () => pretty({ templateId: item.content.templateId, data: item.content.templateData }),
    ]);
  const { html, text, ...rest } = item.content;
  views.push(["Envelope", () => pretty(rest)]);
  return [tabs(views)];
}

function smsBody(item) {
  const { text, encoding, segments, units } = item.content;
  return [
    el(
      "div",
      { class: "phone" },
      el("div", { class: "phone-top" }, item.sender),
      el("div", { class: "bubbles" }, el("p", { class: "bubble" }, text), el("time", {}, clock(item.at))),
    ),
    el(
      "p",
      { class: "measure" },
      el("b", {}, `${segments} ${segments === 1 ? "segment" : "segments"}`),
      ` · ${encoding} · ${units} ${encoding === "UCS-2" ? "UTF-16 units" : "septets"}`,
    ),
  ];
}

function pushBody(item) {
  const { title, body, platform, payload } = item.content;
  return [
    el(
      "div",
      { class: "phone lock" },
      el("div", { class: "lock-time" }, clock(item.at).slice(0, 5)),
      el(
        "div",
        { class: "push-card" },
        el("span", { class: "app" }, icon("push")),
        el("div", {}, el("b", {}, title || "(no title)"), el("p", {}, body)),
        el("time", {}, "now"),
      ),
    ),
    el("h3", {}, `Payload (${PLATFORMS[platform]})`),
    pretty(payload),
  ];
}

function slackBody(item) {
  const { text, blocks, payload } = item.content;
  return [
    el(
      "div",
      { class: "conversation" },
      el("span", { class: "app" }, icon("slack")),
      el(
        "div",
        {},
        el("b", {}, "Incoming webhook "),
        el("time", {}, clock(item.at).slice(0, 5)),
        el("p", {}, ...slackText(text)),
        blocks.length ? el("p", { class: "hint" }, `${blocks.length} block(s), see below`) : null,
      ),
    ),
    el("h3", {}, "Payload"),
    pretty(payload),
  ];
}

// Slack's markup as far as texts use it: *bold* and its three escapes. Links stay text.
function slackText(text) {
  const plain = (piece) => piece.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
  return text
    .split(/\*([^*\n]+)\*/)
    .map((piece, index) => (index % 2 ? el("b", {}, plain(piece)) : plain(piece)));
}

function whatsappBody(item) {
  const { text, contentSid, variables } = item.content;
  const said = contentSid
    ? [el("p", { class: "bubble" }, `approved template ${contentSid}`)]
    : [el("p", { class: "bubble" }, ...slackText(text))];
  return [
    el(
      "div",
      { class: "phone" },
      el("div", { class: "phone-top" }, item.sender),
      el("div", { class: "bubbles" }, ...said, el("time", {}, clock(item.at))),
    ),
    contentSid ? el("h3", {}, "Variables") : null,
    contentSid ? pretty(variables) : null,
  ].filter(Boolean);
}

function webhookBody(item) {
  return [
    el("h3", {}, "Body ", chip(item.content.signature)),
    item.content.json === null ? el("pre", { class: "text" }, item.content.text) : pretty(item.content.json),
    el("h3", {}, "Headers"),
    table(item.content.headers),
  ];
}

function callbackBody(item) {
  let content;
  try {
    content = pretty(JSON.parse(item.body));
  } catch {
    content = el("pre", { class: "text" }, item.body);
  }
  return [
    el(
      "h3",
      {},
      "Body ",
      chip(item.signature),
      item.signature === "unchecked"
        ? el("span", { class: "hint" }, ` PUT /callbacks/${item.name}/secret to check signatures`)
        : null,
    ),
    content,
    el("h3", {}, "Headers"),
    table(item.headers),
  ];
}

function facts(item) {
  const shown =
    item.channel === "callback"
      ? { endpoint: `/callbacks/${item.name}`, answered: item.answered }
      : {
          provider: item.provider,
          "attempt id": item.attemptId,
          "provider's id": item.providerMessageId,
          outcome: item.outcome,
          "HTTP status": item.httpStatus ?? "none: connection cut",
        };
  return el("footer", {}, table(shown));
}

function table(entries) {
  return el(
    "dl",
    {},
    ...Object.entries(entries)
      .filter(([, value]) => value)
      .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]),
  );
}

function tabs(views) {
  const panel = el("div", { class: "panel" });
  const buttons = views.map(([name, show]) =>
    el("button", { type: "button", role: "tab", onclick: () => open(name, show) }, name),
  );
  function open(name, show) {
    buttons.forEach((button) => button.setAttribute("aria-selected", String(button.textContent === name)));
    panel.replaceChildren(show());
  }
  open(...views[0]);
  return el("div", { class: "tabs" }, el("div", { role: "tablist" }, ...buttons), panel);
}

function pretty(value) {
  const text = JSON.stringify(value, null, 2) ?? "";
  const pieces = text.split(/("(?:[^"\\]|\\.)*"(?=:)|"(?:[^"\\]|\\.)*"|\b(?:true|false|null)\b|-?\b\d[\d.eE+-]*\b)/);
  return el(
    "pre",
    { class: "json" },
    ...pieces.map((piece, index) =>
      index % 2 === 0
        ? piece
        : el(
            "span",
            { class: piece[0] !== '"' ? "literal" : pieces[index + 1].startsWith(":") ? "key" : "string" },
            piece,
          ),
    ),
  );
}
