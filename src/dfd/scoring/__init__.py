"""Any number of images to Parquet parts, on this machine or a cluster."""
