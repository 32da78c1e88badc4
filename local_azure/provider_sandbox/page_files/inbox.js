// Polls the sandbox and shows what arrived: rows on the left, the chosen message on the right.

import { card, el, icon, row } from "/page/cards.js";

const CHANNELS = ["all", "email", "sms", "push", "webhook", "slack", "whatsapp", "callback"];
const TITLES = {
  all: "All",
  email: "Email",
  sms: "SMS",
  push: "Push",
  webhook: "Webhooks",
  slack: "Slack",
  whatsapp: "WhatsApp",
  callback: "Callbacks",
};
const KEPT = 1000;
const PAGE = 100;
const POLL_MS = 1000;

const byId = (id) => document.getElementById(id);
const state = {
  messages: new Map(),
  callbacks: [],
  revision: 0,
  callbacksRevision: -1,
  epoch: null,
  channel: "all",
  search: "",
  shown: PAGE,
  chosen: /^#[mc]\d+$/.test(location.hash) ? location.hash.slice(1) : "",
  drawn: {},
};

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}

// Elements are replaced only when they would differ: replacing takes the focus and an open selection away.
function differs(part, picture) {
  const text = JSON.stringify(picture);
  const changed = state.drawn[part] !== text;
  state.drawn[part] = text;
  return changed;
}

async function poll() {
  const query = new URLSearchParams({ summary: "1", refused: "1", limit: String(KEPT), since: String(state.revision) });
  let news = await ask(`/messages.json?${query}`);
  if (news.epoch !== state.epoch) {
    // Another inbox than before: it was cleared, or the sandbox has started anew.
    state.messages.clear();
    if (state.epoch !== null && state.chosen.startsWith("m")) state.chosen = "";
    state.epoch = news.epoch;
    if (state.revision > 0) news = await ask(`/messages.json?summary=1&refused=1&limit=${KEPT}`);
  }
  if (news.callbacksRevision !== state.callbacksRevision) {
    state.callbacks = (await ask(`/callbacks.json?limit=${KEPT}`)).map(asItem);
  }
  for (const message of news.messages.reverse())
    state.messages.set(`m${message.id}`, { ...message, key: `m${message.id}` });
  while (state.messages.size > KEPT) state.messages.delete(state.messages.keys().next().value);
  const changed = new Set(news.messages.map((message) => `m${message.id}`));
  Object.assign(state, { revision: news.revision, callbacksRevision: news.callbacksRevision });
  drawChannels(news.arrived);
  drawFaults(news.faults);
  drawRows();
  if (changed.has(state.chosen) || (state.chosen && !byId("detail").firstChild)) await drawDetail();
  if (!state.chosen) drawWelcome();
}

function asItem(callback) {
  return {
    ...callback,
    key: `c${callback.id}`,
    channel: "callback",
    at: callback.receivedAt,
    recipient: callback.name,
    preview: previewOf(callback.body),
    state: callback.signature,
  };
}

function previewOf(body) {
  try {
    const { type, data } = JSON.parse(body);
    return [type, data?.trackingId].filter(Boolean).join(" · ") || body.slice(0, 160);
  } catch {
    return body.slice(0, 160);
  }
}

function wanted() {
  const search = state.search.toLowerCase();
  const items =
    state.channel === "callback"
      ? state.callbacks
      : state.channel === "all"
        ? [...state.messages.values(), ...state.callbacks]
        : [...state.messages.values()].filter((item) => item.channel === state.channel);
  return items
    .filter(
      (item) => !search || `${item.recipient} ${item.preview} ${item.attemptId ?? ""}`.toLowerCase().includes(search),
    )
    .sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : b.id - a.id));
}

function drawChannels(arrived) {
  if (!differs("channels", [arrived, state.channel])) return;
  const total = Object.values(arrived).reduce((sum, count) => sum + count, 0);
  byId("channels").replaceChildren(
    ...CHANNELS.map((channel) =>
      el(
        "button",
        {
          type: "button",
          "aria-pressed": String(state.channel === channel),
          onclick: () => {
            state.channel = channel;
            state.shown = PAGE;
            drawChannels(arrived);
            drawRows();
          },
        },
        icon(channel),
        TITLES[channel],
        el("span", { class: "count" }, (channel === "all" ? total : (arrived[channel] ?? 0)).toLocaleString()),
      ),
    ),
  );
}

function drawFaults(faults) {
  if (!differs("faults", faults)) return;
  const banner = byId("faults");
  banner.hidden = faults.length === 0;
  banner.replaceChildren(
    ...faults.map((fault) =>
      el(
        "span",
        {},
        el("b", {}, `${fault.provider} ${fault.mode}`),
        ` ${Math.round(fault.probability * 100)} % of calls · hit ${fault.hits}${fault.remaining === null ? "" : ` · ${fault.remaining} left`}`,
      ),
    ),
    el(
      "button",
      {
        type: "button",
        class: "quiet",
        onclick: async () => {
          await ask("/faults", { method: "DELETE" });
          await poll();
        },
      },
      "End all faults",
    ),
  );
}

function drawRows() {
  const items = wanted();
  const shown = items.slice(0, state.shown);
  const picture = [state.epoch, state.chosen, shown.map((item) => [item.key, item.revision ?? item.signature])];
  byId("more").hidden = items.length <= state.shown;
  const nothing = byId("nothing");
  nothing.hidden = items.length > 0;
  nothing.textContent =
    state.search || state.messages.size + state.callbacks.length > 0
      ? "Nothing here matches."
      : "Nothing has arrived yet.";
  if (!differs("rows", picture)) return;
  const focused = document.activeElement?.closest?.("#rows") ? state.chosen : null;
  byId("rows").replaceChildren(...shown.map((item) => row(item, item.key === state.chosen, () => choose(item.key))));
  if (focused) byId("rows").querySelector("[aria-current]")?.focus();
}

async function choose(key) {
  state.chosen = key;
  history.replaceState(null, "", `#${key}`);
  drawRows();
  await drawDetail();
  if (matchMedia("(max-width: 820px)").matches) byId("detail").scrollIntoView({ behavior: "smooth" });
}

async function drawDetail() {
  const key = state.chosen;
  try {
    const item = key.startsWith("c")
      ? state.callbacks.find((callback) => callback.key === key)
      : await ask(`/messages/${key.slice(1)}.json`);
    if (key !== state.chosen || !item) return;
    const tab = byId("detail").querySelector("[aria-selected=true]")?.textContent;
    byId("detail").replaceChildren(card(item));
    if (tab && byId("detail").dataset.key === key)
      [...byId("detail").querySelectorAll("[role=tab]")].find((button) => button.textContent === tab)?.click();
    byId("detail").dataset.key = key;
  } catch {
    if (key === state.chosen)
      byId("detail").replaceChildren(el("p", { class: "nothing" }, "This message is no longer kept."));
  }
}

function drawWelcome() {
  const detail = byId("detail");
  if (detail.dataset.key === "welcome") return;
  detail.dataset.key = "welcome";
  const origin = location.origin;
  detail.replaceChildren(
    el(
      "article",
      { class: "card welcome" },
      el("h2", {}, "What is sent, arrives here"),
      el(
        "p",
        {},
        "This page plays the customers. Emails, texts, pushes, chat messages and webhooks that the service hands to a provider show up on the left within a second, with what the provider reported back: accepted, delivered, bounced.",
      ),
      el(
        "dl",
        {},
        el("dt", {}, "Make something fail"),
        el(
          "dd",
          {},
          "Send to ",
          el("code", {}, "bounce@example.com"),
          ", ",
          el("code", {}, "throttled-2@example.com"),
          " or ",
          el("code", {}, "+15005550100"),
          "; the button above lists all magic recipients.",
        ),
        el("dt", {}, "Break a provider"),
        el("dd", {}, el("code", {}, `curl ${origin}/faults -d '{"provider": "sendgrid", "mode": "500", "count": 5}'`)),
        el("dt", {}, "A customer's webhook"),
        el("dd", {}, el("code", {}, `${origin}/webhooks/anna`)),
        el("dt", {}, "A customer's Slack"),
        el("dd", {}, el("code", {}, `${origin}/services/anna`)),
        el("dt", {}, "A consumer's callbacks"),
        el("dd", {}, el("code", {}, `${origin}/callbacks/shop`)),
        el("dt", {}, "What reached whom"),
        el(
          "dd",
          {},
          el("a", { href: "/ledger/summary" }, "/ledger/summary"),
          " and ",
          el("a", { href: "/ledger" }, "/ledger"),
        ),
      ),
    ),
  );
}

async function openMagic() {
  const table = await ask("/magic.json");
  byId("magic-rows").replaceChildren(
    ...table.map((entry) =>
      el(
        "tr",
        {},
        el("td", {}, el("code", {}, entry.counted ? `${entry.name}-n` : entry.name)),
        el("td", {}, entry.meaning),
        el("td", {}, entry.channels.join(", ")),
        el("td", {}, entry.phone ? el("code", {}, entry.counted ? `${entry.phone.slice(0, -1)}n` : entry.phone) : ""),
      ),
    ),
  );
  byId("magic").showModal();
}

function moveChoice(by) {
  const items = wanted().slice(0, state.shown);
  const next =
    items[Math.max(0, Math.min(items.length - 1, items.findIndex((item) => item.key === state.chosen) + by))];
  if (next)
    choose(next.key).then(() => byId("rows").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" }));
}

async function live() {
  const sign = byId("live");
  try {
    await poll();
    sign.textContent = "live";
    sign.className = "live on";
  } catch {
    sign.textContent = "not reachable";
    sign.className = "live off";
  }
  setTimeout(live, document.hidden ? POLL_MS * 5 : POLL_MS);
}

byId("search").addEventListener("input", (event) => {
  state.search = event.target.value;
  state.shown = PAGE;
  drawRows();
});
byId("more").addEventListener("click", () => {
  state.shown += PAGE;
  drawRows();
});
byId("open-magic").addEventListener("click", openMagic);
byId("close-magic").addEventListener("click", () => byId("magic").close());
byId("clear").addEventListener("click", async () => {
  await ask("/messages.json", { method: "DELETE" });
  state.chosen = "";
  history.replaceState(null, "", " ");
  await poll();
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, textarea") || byId("magic").open) return;
  if (event.key === "ArrowDown" || event.key === "j") {
    event.preventDefault();
    moveChoice(1);
  }
  if (event.key === "ArrowUp" || event.key === "k") {
    event.preventDefault();
    moveChoice(-1);
  }
});
if (location.hash === "#magic") openMagic();
live();
