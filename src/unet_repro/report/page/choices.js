// What the reader has chosen. It outlives a reload of the page in the same tab, and nothing else.

const choices = (() => {
  const place = `unet-repro:${location.pathname}`;
  let kept = {};
  try {
    kept = JSON.parse(sessionStorage.getItem(place)) ?? {};
  } catch { /* no storage: choices last as long as the page */ }
  return {
    read: (key, fallback) => (Object.hasOwn(kept, key) ? kept[key] : fallback),
    write(key, value) {
      kept[key] = value;
      try {
        sessionStorage.setItem(place, JSON.stringify(kept));
      } catch { /* likewise */ }
    },
  };
})();

/** A `<details>` that stays as the reader left it. */
function unfolding(id, summary, ...content) {
  const node = el("details", { id, open: choices.read(`open ${id}`, false) }, el("summary", {}, summary), content);
  node.addEventListener("toggle", () => { if (!printing) choices.write(`open ${id}`, node.open); });
  return node;
}
