// The reader's choices. They persist over a reload of the page in the same tab only.

const choices = (() => {
  const place = `unet-repro:${location.pathname}`;
  let kept = {};
  try {
    kept = JSON.parse(sessionStorage.getItem(place)) ?? {};
  } catch { /* no storage: choices are lost on reload */ }
  return {
    read: (key, fallback) => (Object.hasOwn(kept, key) ? kept[key] : fallback),
    write(key, value) {
      kept[key] = value;
      try {
        sessionStorage.setItem(place, JSON.stringify(kept));
      } catch { /* no storage */ }
    },
  };
})();

/** A `<details>` element that remembers whether it is open. */
function unfolding(id, summary, ...content) {
  const node = el("details", { id, open: choices.read(`open ${id}`, false) }, el("summary", {}, summary), content);
  node.addEventListener("toggle", () => { if (!printing) choices.write(`open ${id}`, node.open); });
  return node;
}
