// The orchestrations of the live page: one line each with its history as a strip, opened as one bar per step.
// Takes orchestrations.json (DurableEngine.overview), draws into #runs.
const opened = new Map();
const LIVE = new Set(["Running", "Pending", "Suspended"]);
const STEPS = { Task: "activity", SubOrchestrationInstance: "sub", Timer: "timer" };
const make = (tag, kind, text) => { const node = document.createElement(tag); if (kind) node.className = kind; if (text !== undefined) node.textContent = text; return node; };
const millis = text => Date.parse(text);
const howLong = ms => ms < 1000 ? `${Math.round(ms)} ms` : ms < 90000 ? `${(ms / 1000).toFixed(1)} s` : span(ms / 1000);

// What the history shows: bars (activities, sub-orchestrations, timers) and marks (events, signals, the end).
function steps(run, now) {
  const live = LIVE.has(run.runtimeStatus);
  const last = live ? now : Math.max(...run.history.map(entry => millis(entry.Timestamp)), 0);
  return run.history.map(entry => {
    const type = entry.EventType, at = millis(entry.Timestamp);
    const bar = /^(Task|SubOrchestrationInstance|Timer)(Scheduled|Created|Completed|Failed|Fired)$/.exec(type);
    if (bar) {
      const open = bar[2] === "Scheduled" || bar[2] === "Created";
      const start = open || !entry.ScheduledTime ? at : millis(entry.ScheduledTime);
      const end = open ? last : at;
      const state = open ? (live ? "open" : "left") : bar[2] === "Failed" ? "failed" : "";
      const until = bar[1] === "Timer" && entry.FireAt ? ` until ${entry.FireAt.slice(11, 19)}` : "";
      const name = bar[1] === "Timer" ? `timer${until}` : entry.FunctionName ?? bar[1];
      return { kind: STEPS[bar[1]], state, name, start, end, note: entry.Reason ?? "" };
    }
    if (type === "ExecutionStarted") return { kind: "mark", state: "", name: "started", start: at, end: at, note: "" };
    const names = { EventRaised: `event ${entry.Name}`, EventSent: `${entry.Name} → ${entry.InstanceId}`, ExecutionCompleted: "completed", ExecutionFailed: "failed", ExecutionTerminated: "terminated", ExecutionSuspended: "suspended", ExecutionResumed: "resumed" };
    const kind = type === "EventRaised" || type === "EventSent" ? "event" : "mark";
    return { kind, state: type === "ExecutionFailed" ? "failed" : "", name: names[type] ?? type, start: at, end: at, note: entry.Reason ?? "" };
  });
}

function place(step, from, width) {
  const node = make("span", `step ${step.kind} ${step.state}`);
  const left = (step.start - from) / width * 100;
  node.style.left = `${Math.min(left, 100)}%`;
  if (!["event", "mark"].includes(step.kind)) node.style.width = `${Math.max((step.end - step.start) / width * 100, 0.15)}%`;
  node.title = `${step.name}: ${new Date(step.start).toISOString().slice(11, 23)}${step.end > step.start ? `, ${howLong(step.end - step.start)}` : ""}${step.state === "open" ? ", still open" : step.state === "left" ? ", not awaited to its end" : ""}${step.note ? `\n${step.note}` : ""}`;
  return node;
}

// Bars that overlap in time go into lanes above each other, at most four.
function strip(all, from, width) {
  const box = make("span", "strip"), ends = [];
  for (const step of [...all].sort((a, b) => a.start - b.start)) {
    const node = place(step, from, width);
    if (!["event", "mark"].includes(step.kind)) {
      let lane = ends.findIndex(end => end <= step.start);
      if (lane < 0) lane = ends.length < 4 ? ends.length : 3;
      ends[lane] = Math.max(ends[lane] ?? 0, step.end);
      node.style.top = `${1 + lane * 5}px`;
    }
    box.append(node);
  }
  return box;
}

function rows(run, all, from, width) {
  const box = make("div", "rows");
  const facts = [run.instanceId, `since ${run.createdTime.slice(0, 19).replace("T", " ")}`];
  if (run.version) facts.push(`version ${run.version}`);
  if (run.parentInstanceId) facts.push(`child of ${run.parentInstanceId}`);
  if (run.customStatus !== null) facts.push(`status: ${JSON.stringify(run.customStatus).slice(0, 200)}`);
  if (run.historyEntries > run.history.length) facts.push(`${run.historyEntries - run.history.length} earlier steps are not shown`);
  box.append(make("div", "dim facts", facts.join(" · ")));
  for (const step of all) {
    const line = make("div", "line"), track = make("span", "track");
    track.append(place(step, from, width));
    const took = ["event", "mark"].includes(step.kind) ? `+${howLong(step.start - from)}` : howLong(step.end - step.start);
    line.append(make("span", `label ${step.state === "failed" ? "bad" : ""}`, step.name), track, make("span", "dim took", took));
    box.append(line);
  }
  const axis = make("div", "line axis"), track = make("span", "track");
  for (const part of [0, 0.25, 0.5, 0.75]) {
    const tick = make("span", "tick", `+${howLong(width * part)}`);
    tick.style.left = `${part * 100}%`;
    track.append(tick);
  }
  axis.append(make("span", "label"), track, make("span", "took dim", ""));
  box.append(axis);
  return box;
}

function drawRun(run, now, openAtFirst) {
  const all = steps(run, now);
  const from = Math.min(...all.map(step => step.start), now);
  const to = LIVE.has(run.runtimeStatus) ? now : Math.max(...all.map(step => step.end), from);
  const width = Math.max(to - from, 1);
  const item = make("details", "run"), line = make("summary");
  const bad = run.runtimeStatus === "Failed" || run.runtimeStatus === "Terminated";
  line.append(make("span", "name", run.name), make("span", bad ? "bad" : LIVE.has(run.runtimeStatus) ? "good" : "dim", run.runtimeStatus), strip(all, from, width), make("span", "dim took", howLong(width)));
  item.append(line);
  item.open = opened.get(run.instanceId) ?? openAtFirst;
  const fill = () => { if (item.open && item.childElementCount === 1) item.append(rows(run, all, from, width)); };
  item.addEventListener("toggle", () => { opened.set(run.instanceId, item.open); fill(); });
  fill();
  return item;
}

function drawRuns(picture) {
  const now = Date.now(), runs = [...picture.running, ...picture.recent];
  at("durable").hidden = false;
  const counts = Object.entries(picture.counts).map(([status, count]) => `${count} ${status.toLowerCase()}`);
  const several = (count, one, many) => `${count} ${count === 1 ? one : many}`;
  const owed = [`${several(picture.owed.activities, "activity", "activities")} and ${several(picture.owed.timers, "timer", "timers")} to come`, several(picture.entities, "entity", "entities")];
  at("instance-count").textContent = [...(counts.length ? counts : ["none yet"]), ...owed].join(", ");
  at("legend").hidden = !runs.length;
  at("runs").replaceChildren(...runs.map((run, index) => drawRun(run, now, index === 0)));
}
