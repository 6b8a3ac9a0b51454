// The live page: asks for status.json once a second and shows what it says.
// Text from there is only ever put in as text, never as HTML.
"use strict";

const EVERY = 1000, STALE = 2500, PATIENCE = 5000; // milliseconds
const SHORTEST = 20, LONGEST = 120; // seconds that the charts reach back
const ROWS = 100; // clients and connections asked for
const STATES = ["up", "full", "untried", "drained", "maint", "failing", "down", "empty"];
const TROUBLE = {
  down: "No server is available: new clients are turned away.",
  full: "All servers are full, or all connections are taken.",
  untried: "No server has been checked yet.",
};

const $ = id => document.getElementById(id);

function el(name, props, ...inside) {
  const node = Object.assign(document.createElement(name), props);
  node.append(...inside);
  return node;
}

/** Changes a text only if it is another: what is selected stays so. */
function put(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

/** Shows a text, or hides its place if there is none. */
function tell(id, text) {
  put($(id), text);
  $(id).hidden = !text;
}

/** A child for each of the list; those that stay are changed, not made anew. */
function each(parent, list, key, make, fill) {
  const old = parent.known ?? new Map();
  parent.known = new Map();
  list.forEach((item, i) => {
    const node = old.get(key(item)) ?? make(item);
    parent.known.set(key(item), node);
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] ?? null);
    fill(node, item);
  });
  while (parent.children.length > list.length) parent.lastChild.remove();
}

/** A table row; the classes of its cells are given. */
function row(classes, ...buttons) {
  const tr = el("tr", {}, ...classes.split(",").map(name => el("td", { className: name })));
  tr.lastChild.append(...buttons);
  return tr;
}

/** Texts for its cells. */
const texts = (tr, ...all) => all.forEach((text, i) => put(tr.cells[i], text));

/** A line for a cell, and smaller ones below it. */
function lines(td, ...all) {
  while (td.children.length < all.length) td.append(el(td.children.length ? "small" : "span"));
  all.forEach((text, i) => put(td.children[i], text));
}

const button = (text, onclick, ariaLabel) => el("button", { type: "button", textContent: text, onclick, ariaLabel });
const found = (id, text) => text.toLowerCase().includes($(id).value.trim().toLowerCase());

// Numbers for people.

const number = n => (n < 9.95 && n % 1 ? n.toFixed(1) : Math.round(n).toLocaleString("en"));
const speed = n => bytes(n) + "/s";
const time = us => (us < 1e3 ? `${us} µs` : us < 1e6 ? `${number(us / 1e3)} ms` : `${number(us / 1e6)} s`);

/** The time of day, with the date if it is not today's. */
function clock(ms) {
  const date = new Date(ms), isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString("en-GB", { dateStyle: isToday ? undefined : "medium", timeStyle: "medium" });
}

function bytes(n) {
  let unit = 0;
  for (; n >= 999.5; unit++) n /= 1000;
  return `${unit ? number(n) : Math.round(n)} ${["B", "kB", "MB", "GB", "TB", "PB", "EB"][unit]}`;
}

function span(seconds) {
  const [d, h, m, s] = [86400, 3600, 60, 1].map((unit, i) => Math.floor(seconds / unit) % [Infinity, 24, 60, 60][i]);
  return d ? `${d} d ${h} h` : h ? `${h} h ${m} min` : m ? `${m} min ${s} s` : `${s} s`;
}

const isRegular = s => s.role === "server";
const nameOf = s => (isRegular(s) ? s.index : s.role);

/** Until when a server is in its state, as far as pen knows. */
function until(s) {
  if (s.admin !== "ready") return ", until Ready";
  if (s.state === "failing") return ", the next client tries it";
  if (s.left) return `, ${s.state === "down" ? "next try" : "back"} in ${span(s.left)}`;
  return s.state === "down" && s.next_check != null ? `, next check in ${span(s.next_check)}` : "";
}

const portOf = s => (s.same_port ? "same" : s.port);

function place({ state, address, ...s }) {
  if (state === "empty") return "empty slot";
  return address.includes("/") ? address : (address.includes(":") ? `[${address}]` : address) + ":" + portOf(s);
}

// Tables, by the column that was clicked.

const KEYS = {
  servers: s => [s.index ?? 1e9, s.name ?? place(s), s.state, s.check?.why ?? "~", s.connect_us?.median ?? -1, s.connections, ...seen.get(nameOf(s)).rates, 0, s.failures],
  clients: c => [c.client, c.age, c.server ?? -1, c.connects, c.sx, c.rx],
  connections: c => [c.id, c.client, c.server ?? -1, c.sx, c.rx],
};
const order = {}; // by table: the column, and whether the largest comes first

function sorted(id, list) {
  const { column, down } = order[id] ?? {};
  if (column === undefined) return list;
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  return [...list].sort((a, b) => compare(KEYS[id](a)[column], KEYS[id](b)[column]) * (down ? -1 : 1));
}

/** Numbers fall at the first click, and texts rise; the third one ends it. */
function sort(th) {
  const id = th.closest("table").tBodies[0].id, column = th.cellIndex, first = th.className === "n", was = order[id];
  order[id] = was?.column !== column ? { column, down: first } : was.down === first ? { column, down: !first } : {};
  for (const other of th.parentNode.cells) other.ariaSort = null;
  if (order[id].column === column) th.ariaSort = order[id].down ? "descending" : "ascending";
  showServers();
  showClients();
}

// Charts: one line or two, over the last two minutes at most.

class Chart {
  /** `show` makes text of the scale; without it there is none. */
  constructor(box, show) {
    const node = (name, of, parent) => {
      const made = parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
      for (const key in of) made.setAttribute(key, of[key]);
      return made;
    };
    const svg = node("svg", { class: "chart", viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": true }, box);
    [this.area, ...this.lines] = ["area", "one", "two"].map(name => node("path", { class: name }, svg));
    this.points = [];
    this.show = show;
    if (show) this.scale = box.appendChild(el("p", { className: "scale" }));
  }

  /** Values as they are now. */
  add(...values) {
    const time = Date.now() / 1000;
    this.points.push([time, ...values]);
    while (this.points[0][0] < time - LONGEST) this.points.shift();
    const reach = Math.max(SHORTEST, time - this.points[0][0]);
    const most = Math.max(1, ...this.points.flatMap(point => point.slice(1)));
    const power = 10 ** Math.floor(Math.log10(most));
    const top = power * [1, 2, 5, 10].find(step => step * power >= most);
    const x = at => (100 - ((time - at) / reach) * 100).toFixed(2);
    const path = i => this.points.map(point => `${x(point[0])} ${(29 - (point[i] / top) * 28).toFixed(2)}`).join("L");
    values.forEach((_, i) => this.lines[i].setAttribute("d", "M" + path(i + 1)));
    this.area.setAttribute("d", `M${x(this.points[0][0])} 30L${path(1)}V30Z`);
    if (this.show) put(this.scale, `0 to ${this.show(top)} · ${span(reach)}`);
  }
}

// Asking, and saying so when there is no answer.

let data = null; // the last answer
let heard = 0; // when it came
let problem = ""; // why none came since
let asked = 0, answered = 0; // the last question, and the last one with an answer
let title = "pen";

/** Not simply relative: fetch takes no address with a password in it. */
const request = (what, options) =>
  fetch(location.origin + location.pathname + what, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE), ...options });

async function ask() {
  let news;
  const turn = ++asked, client = $("find-client").value.trim().toLowerCase().replace(/[^\w.:]/g, "!");
  try {
    const answer = await request(`status.json?clients=${ROWS}&connections=${ROWS}&client=${client}`);
    if (!answer.ok) throw new Error(`it answers ${answer.status} ${answer.statusText}`);
    news = await answer.json();
    if (turn < answered) return;
    answered = turn;
    problem = "";
    heard = Date.now();
  } catch (error) {
    problem = error instanceof TypeError ? "it cannot be reached" : error.name === "TimeoutError" ? "it is silent" : error.message;
  }
  if (news) show(news);
  freshness();
}

function follow() {
  const next = Date.now() + EVERY;
  (document.hidden ? Promise.resolve() : ask()).finally(() => setTimeout(follow, Math.max(EVERY / 10, next - Date.now())));
}

function freshness() {
  const old = !document.hidden && Date.now() - heard > STALE && (data || problem);
  document.body.classList.toggle("stale", old);
  document.title = old ? "no answer · " + title : title;
  // The same words each time, so that screen readers say them once.
  tell("stale", old ? `No answer from pen: ${problem || "it is silent"}. ${data ? `The page shows what pen said at ${clock(heard)}.` : ""}` : "");
  put($("live"), old ? "not live" : data ? "live" : "waiting for pen");
}

// Showing.

const seen = new Map(); // servers by name: chart, state, and counters of the answer before
let charts = null;
let before = null; // totals of the answer before

function show(d) {
  const now = d.uptime_ms / 1000;
  if (data && (d.pid !== data.pid || d.uptime_ms < data.uptime_ms)) {
    // Its counters begin anew.
    for (const was of seen.values()) was.now = now;
    before = null;
    note("pen was started anew");
  }
  charts ??= {
    used: new Chart($("used-chart"), number),
    fresh: new Chart($("fresh-chart"), number),
    moved: new Chart($("moved-chart"), speed),
  };
  data = d;
  $("main").hidden = false;
  document.body.classList.toggle("can", d.control.possible);
  d.servers.forEach(server => look(server, now));
  overview(d, now);
  showServers();
  showClients();
  showSettings(d);
}

/** Counters' growth per second since the answer before. */
function rates(keys, counters, old, now) {
  return keys.map(key => Math.max(0, counters[key] - old[key]) / (now - old.now));
}

/** What became of a server since the answer before. */
function look(s, now) {
  const was = seen.get(nameOf(s)) ?? { now, rates: [0, 0], spark: el("span") }, since = (data.time - s.since) * 1000;
  was.chart ??= new Chart(was.spark);
  // Both are whole seconds: the difference may be one more or less the next time.
  if (s.since === null || s.state !== was.state || !(Math.abs(since - was.since) < 2000)) was.since = s.since === null ? null : since;
  was.state = s.state;
  if (was.now !== now) {
    was.rates = rates(["sx", "rx"], s, was, now);
    was.chart.add(was.rates[0] + was.rates[1]);
  }
  seen.set(nameOf(s), Object.assign(was, { now, sx: s.sx, rx: s.rx }));
}

let events = ""; // as they are shown

function overview({ servers, connections, totals, health, ...d }, now) {
  const all = servers.filter(isRegular), count = {};
  for (const s of all) count[s.state] = (count[s.state] ?? 0) + 1;
  const up = (count.up ?? 0) + (count.full ?? 0);
  title = `${up} of ${all.length} up · pen ${d.listen}`;
  put($("about"), `${d.listen} · ${d.protocol.toUpperCase()} · running for ${span(d.uptime)} · process ${d.pid} · ${d.version}`);
  tell("trouble", all.length === (count.empty ?? 0) ? "No servers are configured." : TROUBLE[health] ?? "");
  put($("up"), up);
  put($("up-of"), `of ${all.length}`);
  each($("states"), STATES.filter(word => count[word]), word => word, word => el("span", { className: "state " + word }),
    (node, word) => put(node, `${count[word]} ${word}`));
  put($("used"), number(connections.used));
  put($("used-of"), `of ${number(connections.max)}`);
  if (before && before.now !== now) {
    const [sent, received, fresh] = rates(["sx", "rx", "connects"], totals, before, now);
    charts.used.add(connections.used);
    charts.fresh.add(fresh);
    charts.moved.add(sent, received);
    put($("fresh"), number(fresh));
    put($("moved"), speed(sent + received));
  }
  before = { ...totals, now };
  pairs($("totals"), {
    connections: number(totals.connects), failed: number(totals.failures), "sent to servers": bytes(totals.sx),
    "received from servers": bytes(totals.rx), "log lines lost": number(d.log_lost),
    ...Object.fromEntries(Object.entries(d.outcomes).map(([name, count]) => [`clients ${name.replaceAll("_", " ")}`, number(count)])),
    ...Object.fromEntries(Object.entries(d.ends ?? {}).map(([name, count]) => [`ended: ${name}`, number(count)])),
  });
  if (events === (events = JSON.stringify(d.events))) return;
  $("events").replaceChildren(...d.events.reverse().map(({ at, name, from, to, reason }) =>
    el("div", { textContent: `${clock(at * 1000)} ${name}: ${from} → ${to}${reason && `: ${reason}`}` })));
}

// What can be done with a server: when, what that means, and the command's words.
const ACTIONS = {
  Ready: [s => s.admin !== "ready" || s.left, "It gets clients again.", "state ready blacklist 0"],
  Drain: [s => s.admin !== "drain", "It keeps its clients, but gets no new ones until Ready.", "state drain"],
  Maintenance: [s => s.admin !== "maint", "It gets no clients until Ready. Its open connections go on.", "state maint"],
  Remove: [() => true, "The slot stays empty. Open connections go on.", "address 0"],
};

function showServers() {
  const shown = data.servers.filter(s => found("find-server", `${s.name ?? ""} ${place(s)} ${s.state}`));
  const busiest = Math.max(1, ...data.servers.map(s => s.connections));
  const heads = $("servers").parentNode.tHead.rows[0].cells;
  const make = s => {
    const name = ` server ${nameOf(s)}`;
    const tr = row("n,name,state,,n,load n,n,n,spark,n,control", button("Change…", () => changeServer(tr.server), "Change" + name),
      ...Object.keys(ACTIONS).map(verb => button(verb + "…", () => act(tr.server, verb), verb + name)));
    [...tr.cells].forEach((td, i) => (td.dataset.label = heads[i].textContent));
    tr.cells[5].append(el("span", {}, el("i")), el("span"), el("small"));
    tr.cells[8].append(seen.get(nameOf(s)).spark);
    return tr;
  };
  each($("servers"), sorted("servers", shown), nameOf, make, (tr, s) => {
    const { rates: [sent, received], since } = seen.get(nameOf(s)), [bar, load, share] = tr.cells[5].children;
    const isUp = s.state === "up" || s.state === "full", isEmpty = s.state === "empty";
    tr.server = s;
    put(tr.cells[0], nameOf(s));
    lines(tr.cells[1], s.name ?? place(s), s.name ? place(s) : "");
    lines(tr.cells[2], s.state, isEmpty || since === null ? "" : `since ${clock(since)}${until(s)}`, isUp || isEmpty ? "" : s.reason);
    lines(tr.cells[3], s.check ? `${s.check.why ? "failed" : "ok"}, ${time(s.check.us)}` : "–", s.check ? `${span(s.check.ago)} ago` : "");
    lines(tr.cells[4], s.connect_us ? time(s.connect_us.median) : "–", s.connect_us ? `99 %: ${time(s.connect_us.p99)}` : "");
    put(load, number(s.connections) + (s.max ? ` / ${number(s.max)}` : "") + (s.hard ? ` (${number(s.hard)})` : ""));
    put(share, s.weight || s.prio ? `weight ${s.weight}, prio ${s.prio}` : "");
    lines(tr.cells[6], speed(sent), bytes(s.sx));
    lines(tr.cells[7], speed(received), bytes(s.rx));
    lines(tr.cells[9], `${number(s.failures)} of ${number(s.connects)}`, s.downs ? `down ${s.downs} ×, ${span(s.downtime)}` : "");
    tr.cells[2].className = "state " + s.state;
    // Without a limit the bar compares with the busiest server.
    bar.className = !s.max ? "bar free" : s.connections < s.max ? "bar" : "bar over";
    bar.firstChild.style.transform = `scaleX(${Math.min(1, s.connections / (s.max || busiest))})`;
    [...tr.lastChild.children].forEach((node, i) => {
      node.hidden = !isRegular(s) || (i > 0 && (isEmpty || !Object.values(ACTIONS)[i - 1][0](s)));
    });
  });
}

function showClients() {
  const { clients: { recent, tracked, found: all }, connections: { open, used } } = data;
  const shown = recent.filter(c => found("find-client", c.client)), alive = open.filter(c => found("find-client", c.client));
  put($("clients-of"), `${shown.length} of ${number(all ?? tracked)}${all == null ? ", the latest" : " found"}; ${alive.length} of ${number(used)} connections`);
  each($("clients"), sorted("clients", shown), c => c.client, () => row("name,n,,n,n,n"),
    (tr, c) => texts(tr, c.client, span(c.age), c.server ?? "–", number(c.connects), bytes(c.sx), bytes(c.rx)));
  each($("connections"), sorted("connections", alive), c => c.id, c => row("n,name,,n,n,control", button("Close…", closeConnection, `Close connection ${c.id}`)),
    (tr, c) => texts(tr, c.id, c.client, c.server ?? c.role, bytes(c.sx), bytes(c.rx)));
}

function showSettings({ modes, settings, units, clients, connections, control: { possible } }) {
  const all = { ...modes, ...settings, clients_max: clients.max, conn_max: connections.max };
  const keys = Object.keys(all), isSwitch = key => typeof all[key] === "boolean";
  each($("switches"), keys.filter(isSwitch), key => key, key => button(key, flip), (node, key) => {
    node.ariaPressed = all[key];
    node.disabled = !possible;
  });
  const others = keys.filter(key => !isSwitch(key)).sort();
  pairs($("settings"), Object.fromEntries(others.map(key => [key, `${all[key] ?? "none"} ${units[key] ?? ""}`])));
}

/** A description list. */
function pairs(dl, values) {
  each(dl, Object.keys(values), key => key, key => el("div", {}, el("dt", { textContent: key }), el("dd")),
    (div, key) => put(div.lastChild, values[key]));
}

function note(text, reply = "") {
  $("log").prepend(el("div", {}, `${clock(Date.now())} ${text}`, el("div", { textContent: reply })));
  if ($("log").children.length > 100) $("log").lastChild.remove();
}

// Control: each action is one command, shown before it is sent.

let line = ""; // that command

/** Asks for the fields' values, of which `command` makes the line. */
function control(title, remark, fields, command, yes = "Send", no = "Cancel") {
  put($("title"), title);
  put($("send"), yes);
  put($("cancel"), no);
  tell("note", remark);
  tell("reply", "");
  $("fields").replaceChildren(...Object.keys(fields).map(name =>
    el("label", { textContent: name }, el("input", { name, defaultValue: fields[name] ?? "", autocomplete: "off", spellcheck: false }))));
  $("form").oninput = () => {
    const values = {};
    for (const { name, value, defaultValue } of $("fields").querySelectorAll("input")) {
      if (value.trim() !== defaultValue) values[name] = value.trim();
    }
    line = command(values) || "";
    put($("command"), line || "nothing is changed yet");
    $("send").disabled = !line;
  };
  $("form").oninput();
  $("dialog").showModal();
}

const post = () => request("control", { method: "POST", body: line, headers: { "X-Pen-Token": data.control.token } });

async function send(event) {
  event.preventDefault();
  $("send").disabled = true;
  try {
    let answer = await post();
    if (answer.status === 403) { // the token of a pen that has ended?
      await ask();
      answer = await post();
    }
    const reply = (await answer.text()).trim() || (answer.ok ? "done" : `refused, ${answer.status}`);
    note("› " + line, reply);
    if (answer.ok) $("dialog").close();
    else tell("reply", reply);
  } catch (error) {
    tell("reply", "No answer: " + error.message);
  }
  $("send").disabled = false;
  ask();
}

function act({ index, ...s }, verb) {
  const [, remark, words] = ACTIONS[verb];
  control(`${verb} server ${index}, ${s.name ?? place(s)}?`, remark, {}, () => `server ${index} ${words}`, verb);
}

function changeServer(s, verb = "Change") {
  const { index, left, address, max, hard, weight, prio, acl } = s;
  control(`Server ${index}`,
    "For as many seconds as blacklist says, the server gets no new connections. Open ones go on.",
    { address, port: portOf(s), max, hard, weight, prio, acl, blacklist: left }, values => {
      const words = Object.entries(values).filter(([, value]) => value).flat();
      return words.length && ["server", index, ...words].join(" ");
    }, verb);
}

function addServer() {
  const all = data.servers.filter(isRegular);
  const index = all.find(s => s.state === "empty")?.index ?? all.length;
  changeServer({ index, max: 0, hard: 0, weight: 0, prio: 0, acl: 0, left: 0 }, "Add");
}

function closeConnection() {
  const [id, client] = [...this.closest("tr").cells].map(cell => cell.textContent);
  control(`Close ${client}'s connection`, "", {}, () => `close ${id}`, "Close connection", "Keep");
}

function flip() {
  const key = this.textContent, on = this.ariaPressed === "true";
  control(`Switch ${key} ${on ? "off" : "on"}`, "", {}, () => (on ? "no " : "") + key, `Switch ${on ? "off" : "on"}`);
}

document.querySelectorAll("th:not(.control, .spark)").forEach(th => th.replaceChildren(button(th.textContent, () => sort(th))));
$("find-server").oninput = () => data && showServers();
$("find-client").oninput = () => data && (showClients(), ask());
$("add").onclick = addServer;
$("any").onclick = () => control("Any command", "The commands are those of the control port; help lists them.", { command: "" }, values => values.command);
$("cancel").onclick = () => $("dialog").close();
$("form").onsubmit = send;
document.onvisibilitychange = () => document.hidden || ask();
note("following pen");
setInterval(freshness, EVERY / 2);
follow();
