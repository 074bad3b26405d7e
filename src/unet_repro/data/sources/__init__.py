"""Where images come from: public data sets, a user's folder, a synthetic stack."""
