"""Names and credits of the public data sets."""

CREDITS = {
    "isbi2012": "ISBI 2012 EM challenge; Cardona et al. 2010, Arganda-Carreras et al. 2015",
    "DIC-C2DH-HeLa": "Cell Tracking Challenge, G. van Cappellen; Maška et al. 2023",
    "PhC-C2DH-U373": "Cell Tracking Challenge, S. Kumar; Maška et al. 2023",
}
TITLES = {
    "isbi2012": "the ISBI 2012 EM stack",
    "DIC-C2DH-HeLa": "DIC-C2DH-HeLa (Cell Tracking Challenge)",
    "PhC-C2DH-U373": "PhC-C2DH-U373 (Cell Tracking Challenge)",
    "synthetic": "synthetic images",
}
