"""The job in Polars, lazily and with its sinks.

with_polars.py  json|tsv|eve  lookup|join  FOLDER  TABLE  CHAIN  OWN  OUT
"""

import sys

import polars as pl

form, task, folder, table, chain, own, out = sys.argv[1:]
# Keys that appear later than this in a log are not written.
LINES_FOR_SCHEMA = 20_000


def log(name):
    path = f"{folder}/{name}"
    if form != "tsv":
        return pl.scan_ndjson(path, infer_schema_length=LINES_FOR_SCHEMA)
    with open(path, encoding="utf-8") as lines:
        fields = next(line for line in lines if line.startswith("#fields\t"))
    columns = fields.rstrip("\n").split("\t")[1:]
    return pl.scan_csv(
        path,
        separator="\t",
        quote_char=None,
        has_header=False,
        comment_prefix="#",
        null_values=["-"],
        new_columns=columns,
        infer_schema=False,
    )


def write(name, records, issuer):
    key = "certsift_issuer"
    looked_up = records.with_columns(issuer.alias(key)).join(issuers, left_on=key, right_on="issuer", how="left")
    looked_up.drop(key).sink_ndjson(f"{out}/{name}.ndjson")


issuers = pl.scan_csv(table).rename({"label": "intel"})
if form == "eve":
    write("eve", log("eve.json"), pl.col("tls").struct.field("issuerdn"))
else:
    write("x509", log("x509.log"), pl.col("certificate.issuer"))
    if task == "join":
        certificates = log("x509.log").select(own, pl.col("certificate.issuer").alias("shown")).unique(own)
        cell = pl.col(chain)
        leaf = cell.str.split(",").list.first() if form == "tsv" else cell.list.first()
        sessions = log("ssl.log").with_columns(leaf.alias("leaf"))
        joined = sessions.join(certificates, left_on="leaf", right_on=own, how="left")
        write("ssl", joined, pl.col("shown"))
    else:
        write("ssl", log("ssl.log"), pl.col("issuer"))
