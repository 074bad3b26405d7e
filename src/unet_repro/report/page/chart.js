// Draws charts when they come near the viewport, again when their width changes, and all of them for printing.

const PRINT_WIDTH = 680;
const charts = new Map(); // host -> { draw, heightOf, drawn: width or null }
let printing = false;

const nearby = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    nearby.unobserve(entry.target);
    redraw(entry.target);
  }
}, { rootMargin: "600px" });

const resized = new ResizeObserver((entries) => requestAnimationFrame(() => {
  for (const { target } of entries) {
    const chart = charts.get(target);
    if (printing || !target.clientWidth || target.clientWidth === chart.width) continue;
    if (chart.drawn) redraw(target);
    else reserve(target);
  }
}));

/**
 * A box whose SVG is drawn on demand.
 *
 * `draw(width)` returns the SVG; `heightOf(width)` its height, which is reserved so that the page does not jump.
 */
function chartBox(name, draw, heightOf) {
  const host = el("div", { class: "chart", "data-chart": name });
  charts.set(host, { draw, heightOf, drawn: false, width: 0 });
  nearby.observe(host);
  resized.observe(host);
  return host;
}

function reserve(host) {
  host.style.minHeight = `${charts.get(host).heightOf(host.clientWidth || PRINT_WIDTH)}px`;
}

/** Draws a chart for the current choices and width. */
function redraw(host) {
  const chart = charts.get(host);
  chart.width = host.clientWidth;
  chart.drawn = true;
  if (!printing) reserve(host);
  host.replaceChildren(chart.draw(Math.max(printing ? PRINT_WIDTH : host.clientWidth || PRINT_WIDTH, 240)));
}

/** Redraws a chart that has been drawn; others are drawn later, with the choices of that time. */
function refresh(host) {
  if (charts.get(host).drawn) redraw(host);
  else reserve(host);
}

/** An empty SVG of the given size, with a text alternative. */
function canvasOf(width, height, label) {
  const viewBox = `0 0 ${width} ${height}`;
  return svg("svg", { class: "plot", viewBox, width, height, role: "img", "aria-label": label });
}

addEventListener("beforeprint", () => {
  printing = true;
  for (const details of document.querySelectorAll("details:not([open])")) {
    details.dataset.closed = "";
    details.open = true;
  }
  for (const host of charts.keys()) {
    host.style.minHeight = "";
    redraw(host);
  }
});

addEventListener("afterprint", () => {
  for (const details of document.querySelectorAll("details[data-closed]")) {
    details.open = false;
    delete details.dataset.closed;
  }
  // The `toggle` event fires later; it must not be treated as the reader's choice.
  setTimeout(() => {
    printing = false;
    for (const host of charts.keys()) redraw(host);
  });
});
