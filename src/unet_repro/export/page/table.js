// objects.csv as `unet-repro predict` writes it, without micrometres.

const DIGITS = 1e4; // four after the decimal point
const round = (value) => Math.round(value * DIGITS) / DIGITS;

function cell(value) {
  return /[",\n\r]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
}

/** The first line. */
export function tableHeader(channels) {
  const grey = channels > 1 ? Array.from({ length: channels }, (_, channel) => `mean_intensity_${channel}`) : ["mean_intensity"];
  return ["image", "plane", "id", "area_px", "centroid_x_px", "centroid_y_px", "left_px", "top_px", "right_px", "bottom_px",
    "perimeter_px", "eccentricity", ...grey, "touches_border", "mean_probability"].join(",") + "\n";
}

/** One line for each object of an image. */
export function tableRows(name, plane, objects) {
  return objects.map((object, index) => [
    cell(name), plane, index + 1, object.area, round(object.centroidX), round(object.centroidY), object.left, object.top,
    object.right, object.bottom, round(object.perimeter), round(object.eccentricity), ...object.intensity.map(round),
    object.touchesBorder ? 1 : 0, round(object.probability),
  ].join(",") + "\n").join("");
}
