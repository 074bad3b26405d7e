"""Credits of the public data sets, shown beside their images."""

CREDITS = {
    "isbi2012": "ISBI 2012 EM challenge; Cardona et al. 2010, Arganda-Carreras et al. 2015",
    "DIC-C2DH-HeLa": "Cell Tracking Challenge, G. van Cappellen; Maška et al. 2023",
    "PhC-C2DH-U373": "Cell Tracking Challenge, S. Kumar; Maška et al. 2023",
}
