// The inspector of a report: highlights a chunk on the page and in the text, and searches for words.
// The page is complete without it. Text of documents is never inserted as markup.
(() => {
  const inspector = document.querySelector(".inspector");
  if (!inspector) return;
  const MAX_HITS = 1000; // hits that are marked
  const sources = [...inspector.querySelectorAll("details.source")];

  function light(source, chunks) {
    for (const old of source.querySelectorAll(".lit")) old.classList.remove("lit");
    for (const chunk of chunks) {
      for (const part of source.querySelectorAll(`[data-chunk~="${CSS.escape(chunk)}"]`)) {
        part.classList.add("lit");
      }
    }
  }
  function hold(source, chunks) {
    held.set(source, chunks);
    light(source, chunks);
  }
  const chunksOf = (part) => (part?.dataset.chunk ?? "").split(" ").filter(Boolean);
  const held = new WeakMap(); // source -> chunks that stay highlighted: pinned, or of a search hit

  for (const source of sources) {
    const pointed = (event) => {
      const chunks = chunksOf(event.target.closest("[data-chunk]"));
      light(source, chunks.length ? chunks : held.get(source) ?? []);
    };
    source.addEventListener("pointerover", pointed);
    source.addEventListener("focusin", pointed);
    source.addEventListener("pointerleave", () => light(source, held.get(source) ?? []));
    source.addEventListener("click", (event) => {
      const cut = event.target.closest(".cut");
      if (!cut) return;
      const pin = cut.getAttribute("aria-pressed") !== "true";
      for (const other of source.querySelectorAll(".cut")) {
        other.setAttribute("aria-pressed", String(pin && other.dataset.chunk === cut.dataset.chunk));
      }
      hold(source, pin ? chunksOf(cut) : []);
    });
    const form = source.querySelector(".find");
    if (form) finder(source, form);
  }

  // Normalise a letter for comparison: no accents, no case, all white space is a space.
  const plain = (letter) =>
    /\s/.test(letter) ? " " : letter.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  function read(sheet) {
    const nodes = document.createTreeWalker(sheet.querySelector(".text"), NodeFilter.SHOW_TEXT, (node) =>
      node.parentElement.classList.contains("seg") ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_SKIP);
    let text = "";
    const places = []; // per letter of `text`: node, offset and length
    for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
      let offset = 0;
      for (const letter of node.data) {
        const compared = plain(letter);
        if (compared !== " " || !text.endsWith(" ")) {
          text += compared;
          for (let n = 0; n < compared.length; n++) places.push([node, offset, letter.length]);
        }
        offset += letter.length;
      }
    }
    return { sheet, text, places };
  }

  function occurrences(pages, words) {
    const found = [];
    for (const { sheet, text, places } of pages) {
      for (let at = text.indexOf(words); at >= 0 && found.length < MAX_HITS; at = text.indexOf(words, at + 1)) {
        const [first, start] = places[at];
        const [last, end, width] = places[at + words.length - 1];
        const range = new Range();
        range.setStart(first, start);
        range.setEnd(last, end + width);
        found.push({ range, sheet, part: first.parentElement });
      }
    }
    return found;
  }

  function finder(source, form) {
    const input = form.querySelector("input");
    const output = form.querySelector("output");
    const steps = [...form.querySelectorAll("button")];
    let pages, hits = [], now = -1;
    form.hidden = false;

    function mark() {
      if (!window.Highlight) return;
      CSS.highlights.set("inspector-hit", new Highlight(...hits.map((hit) => hit.range)));
      CSS.highlights.set("inspector-now", new Highlight(...hits.slice(now, now + 1).map((hit) => hit.range)));
    }

    function go(step) {
      if (!hits.length) return;
      now = (now + step + hits.length) % hits.length;
      const { part, sheet } = hits[now];
      hold(source, chunksOf(part));
      part.scrollIntoView({ block: "center" });
      const page = sheet.querySelector("h4").firstChild.data.trim();
      const chunks = chunksOf(part).map((chunk) => Number(chunk) + 1);
      const where = "dropped" in part.dataset ? "in a dropped line, so in no chunk"
        : chunks.length ? `in chunk ${chunks.join(" and ")}` : "in no chunk";
      say(`${now + 1} of ${hits.length}${hits.length === MAX_HITS ? " or more" : ""}: ${page}, ${where}`);
      mark();
    }

    function say(words) {
      output.textContent = words;
    }

    function byId(id) {
      return id.length >= 6 && /^[0-9a-f]+$/.test(id) && source.querySelector(`.cut[data-id^="${id}"]`);
    }

    function look() {
      const typed = input.value.trim();
      const words = [...typed.replace(/\s+/g, " ")].map(plain).join("");
      pages ??= [...source.querySelectorAll(".sheet")].map(read);
      hits = words ? occurrences(pages, words) : [];
      now = -1;
      for (const step of steps) step.disabled = !hits.length;
      mark();
      const cut = byId(typed);
      if (!words) { say(""); hold(source, []); }
      else if (hits.length) go(1);
      else if (cut) { hold(source, chunksOf(cut)); cut.scrollIntoView({ block: "center" }); say(`Chunk ${Number(cut.dataset.chunk) + 1}`); }
      else say(missing(words.split(" ")));
    }

    function missing(words) {
      const none = words.filter((word) => !occurrences(pages, word).length);
      const shown = `the ${pages.length} page${pages.length === 1 ? "" : "s"} shown`;
      if (words.length === 1 || none.length === words.length) return `Not in the text of ${shown}.`;
      if (none.length) return `Not in the text of ${shown}, nor: ${none.join(", ")}.`;
      return `Not in this order; each word alone is in the text of ${shown}.`;
    }

    input.addEventListener("input", look);
    form.addEventListener("submit", (event) => { event.preventDefault(); go(1); });
    steps[0].addEventListener("click", () => go(-1));
    source.addEventListener("toggle", () => {
      if (source.open) look();
      else { hits = []; now = -1; mark(); }
    });
  }

  // A link to a source, or to a part of one, opens it.
  function arrive() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const source = target && target.closest(".inspector details.source");
    if (!source) return;
    source.open = true;
    target.scrollIntoView();
  }
  window.addEventListener("hashchange", arrive);
  arrive();
})();
