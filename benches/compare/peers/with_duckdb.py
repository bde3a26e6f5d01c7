"""The job in DuckDB.

with_duckdb.py  json|tsv|eve  lookup|join  FOLDER  TABLE  CHAIN  OWN  OUT
"""

import sys

import duckdb

form, task, folder, table, chain, own, out = sys.argv[1:]


def text(value):
    return "'" + value.replace("'", "''") + "'"


def log(name):
    """How a log is read; all of a TSV's columns as text."""
    path = f"{folder}/{name}"
    if form != "tsv":
        return f"read_ndjson({text(path)})"
    with open(path, encoding="utf-8") as lines:
        fields = next(line for line in lines if line.startswith("#fields\t"))
    names = ", ".join(text(column) for column in fields.rstrip("\n").split("\t")[1:])
    return (
        f"read_csv({text(path)}, delim='\t', quote='', escape='', header=false, comment='#', nullstr='-', "
        f"names=[{names}], all_varchar=true)"
    )


def write(name, source, issuer):
    to = text(f"{out}/{name}.ndjson")
    db.execute(
        f"COPY (SELECT r.*, i.label AS intel FROM {source} LEFT JOIN issuers i ON {issuer} = i.issuer) "
        f"TO {to} (FORMAT json)"
    )


db = duckdb.connect()
db.execute(f"CREATE TABLE issuers AS SELECT * FROM read_csv({text(table)}, header=true)")
if form == "eve":
    write("eve", f"{log('eve.json')} r", "r.tls.issuerdn")
else:
    write("x509", f"{log('x509.log')} r", 'r."certificate.issuer"')
    if task == "join":
        certificates = f'(SELECT {own} AS own, any_value("certificate.issuer") AS issuer FROM {log("x509.log")} GROUP BY {own})'
        leaf = f"split_part(r.{chain}, ',', 1)" if form == "tsv" else f"r.{chain}[1]"
        write("ssl", f"{log('ssl.log')} r LEFT JOIN {certificates} c ON {leaf} = c.own", "c.issuer")
    else:
        write("ssl", f"{log('ssl.log')} r", "r.issuer")
