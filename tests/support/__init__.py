"""Networks, data and slow references that several tests share."""
