// The list of sources: filter, sort, and show 100 rows at a time, so that 10,000 sources render as
// fast as 100. Names of files are inserted as text, never as HTML.
"use strict";
(() => {
  const PAGE = 100;
  const [NAME, ROOT, STATE, CODE, REASON, NEEDS] = [0, 1, 2, 3, 4, 5];
  const COLUMNS = [
    { title: "Source", at: NAME },
    { title: "Outcome", at: STATE },
    { title: "Pages", at: 6, numeric: true },
    { title: "Chunks", at: 7, numeric: true },
    { title: "Tokens", at: 8, numeric: true },
    { title: "Size", at: 9, numeric: true, shown: bytes },
    { title: "Updated, UTC", at: 10 },
  ];
  const element = (id) => document.getElementById(id);
  const { roots, rows, anchors } = JSON.parse(element("data").textContent);
  const words = element("words"), code = element("code"), states = element("states");
  const body = document.querySelector("#list tbody");
  const compared = new Intl.Collator("en", { numeric: true }).compare;
  const plain = new Intl.NumberFormat("en");
  const texts = rows.map((row) =>
    [row[NAME], roots[row[ROOT]], row[STATE], row[CODE], row[REASON]].join("\n").toLowerCase());
  let state = "", sorted = null, descending = false, first = 0, order = rows.map((_, n) => n), found = order;

  function make(tag, text, attributes = {}) {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  function bytes(count) {
    for (const unit of ["B", "kB", "MB"]) {
      if (count < 1000) return `${Number(count.toPrecision(3))} ${unit}`;
      count /= 1000;
    }
    return `${Number(count.toPrecision(3))} GB`;
  }

  function matches(number, wanted) {
    const row = rows[number];
    return (state === "" || (state === "!" ? row[NEEDS] : row[STATE] === state)) &&
      (code.value === "" || row[CODE] === code.value) && wanted.every((word) => texts[number].includes(word));
  }

  function filter() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = order.filter((number) => matches(number, wanted));
    first = 0;
    show();
  }

  function sort(column, head) {
    descending = sorted === column ? !descending : Boolean(column.numeric);
    sorted = column;
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const at = column.at, sign = descending ? -1 : 1;
    const compare = column.numeric ? (a, b) => a - b : compared;
    order = rows.map((_, n) => n).sort((a, b) => sign * compare(rows[a][at], rows[b][at]) || a - b);
    filter();
  }

  function named(number) {
    const name = make("bdi", rows[number][NAME]);
    if (!anchors[number]) return name;
    const link = make("a", "", { href: `#${anchors[number]}` });
    link.addEventListener("click", () => { element(anchors[number]).open = true; });
    link.append(name);
    return link;
  }

  function line(number) {
    const row = rows[number];
    const made = document.createElement("tr");
    for (const { at, numeric, shown } of COLUMNS) {
      const cell = make(at === NAME ? "th" : "td", "");
      if (at === NAME) {
        cell.scope = "row";
        cell.append(named(number));
        if (roots.length > 1) cell.append(make("small", roots[row[ROOT]]));
        if (row[REASON]) cell.append(make("small", `${row[REASON]}${row[CODE] && ` [${row[CODE]}]`}`));
      } else {
        cell.textContent = shown ? shown(row[at]) : numeric ? plain.format(row[at]) : row[at];
      }
      if (numeric) cell.className = "number";
      if (at === STATE && row[NEEDS]) cell.className = "needs";
      made.append(cell);
    }
    return made;
  }

  function show() {
    const last = Math.min(first + PAGE, found.length);
    body.replaceChildren(...found.slice(first, last).map(line));
    const some = last - first < found.length ? `, ${plain.format(first + 1)} to ${plain.format(last)} shown` : "";
    const all = found.length < rows.length ? ` of ${plain.format(rows.length)}` : "";
    element("found").textContent = `${plain.format(found.length)}${all} ${rows.length === 1 ? "source" : "sources"}${some}`;
    element("earlier").disabled = first === 0;
    element("later").disabled = last === found.length;
    element("earlier").parentNode.hidden = found.length <= PAGE;
  }

  function turn(by) {
    first += by;
    show();
    element("sources").scrollIntoView();
  }

  function counted(values) {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1]);
  }

  function choice(value, name, count) {
    const button = make("button", `${name} ${plain.format(count)}`, { type: "button", "aria-pressed": value === state });
    button.addEventListener("click", () => {
      state = value;
      for (const other of states.children) other.setAttribute("aria-pressed", other === button);
      filter();
    });
    return button;
  }

  function listAll(wanted) {
    words.value = "";
    code.value = wanted;
    states.firstChild.click();
    element("sources").focus();
  }

  states.append(choice("", "all", rows.length));
  const needing = rows.filter((row) => row[NEEDS]).length;
  if (needing) states.append(choice("!", "needs attention", needing));
  for (const [value, count] of counted(rows.map((row) => row[STATE]))) states.append(choice(value, value, count));
  for (const [value, count] of counted(rows.map((row) => row[CODE]).filter(Boolean)))
    code.append(make("option", `${value} (${plain.format(count)})`, { value }));
  code.parentNode.hidden = code.options.length === 1;
  for (const column of COLUMNS) {
    const head = make("th", "", { scope: "col", class: column.numeric ? "number" : "" });
    head.append(make("button", column.title, { type: "button" }));
    head.firstChild.addEventListener("click", () => sort(column, head));
    document.querySelector("#list thead tr").append(head);
  }
  words.addEventListener("input", filter);
  code.addEventListener("change", filter);
  element("earlier").addEventListener("click", () => turn(-PAGE));
  element("later").addEventListener("click", () => turn(PAGE));
  for (const button of document.querySelectorAll("[data-code]"))
    button.addEventListener("click", () => listAll(button.dataset.code));
  document.documentElement.classList.add("running");
  filter();
})();
