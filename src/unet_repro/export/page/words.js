// Numbers and names as the page writes them.

/** "1 object", "2 objects", "1,234 objects". */
export function plural(number, noun) {
  return `${number.toLocaleString("en-GB")} ${noun}${number === 1 ? "" : "s"}`;
}

/** The time left in words. */
export function timeLeft(seconds) {
  if (seconds < 1.5) return "about a second left";
  if (seconds < 90) return `about ${seconds < 20 ? Math.round(seconds) : 5 * Math.round(seconds / 5)} s left`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min left`;
  return `about ${Math.round(seconds / 3600)} h left`;
}

/** A name without the suffix of its format, with its page if it has several. */
export function stemOf(name, page, pages) {
  return name.replace(/\.(ome\.)?(png|jpe?g|tiff?)$/i, "") + (pages > 1 ? `_page${page + 1}` : "");
}

/** A number of at most three digits after the point that matter, such as 12.3 or 0.045. */
export function short(number) {
  return Number(number.toPrecision(3)).toLocaleString("en-GB", { maximumFractionDigits: 4 });
}
