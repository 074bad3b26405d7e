"""Label files that hold drawn objects instead of pixels: ImageJ ROIs, QuPath GeoJSON, labelme and COCO JSON."""
