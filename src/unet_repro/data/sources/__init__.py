"""Sources of images: public data sets, a user's folder, a synthetic stack."""
