"""The job in plain Python: with the json module, or with orjson.

with_json.py json|orjson  json|tsv|eve  lookup|join  FOLDER  TABLE  CHAIN  OWN  OUT
"""

import csv
import json
import sys

library, form, task, folder, table, chain, own, out = sys.argv[1:]
if library == "orjson":
    import orjson

    loads = orjson.loads

    def dumps(record):
        return orjson.dumps(record) + b"\n"

else:
    loads = json.loads

    def dumps(record):
        return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def objects(path):
    with open(path, "rb") as lines:
        for line in lines:
            yield loads(line)


def rows(path):
    columns = []
    with open(path, encoding="utf-8", newline="\n") as lines:
        for line in lines:
            if line.startswith("#"):
                if line.startswith("#fields\t"):
                    columns = line.rstrip("\n").split("\t")[1:]
                continue
            cells = zip(columns, line.rstrip("\n").split("\t"))
            yield {column: cell for column, cell in cells if cell != "-"}


def of_certificate(record):
    return record.get("certificate.issuer")


def of_session(record):
    return record.get("issuer")


def of_event(record):
    return record.get("tls", {}).get("issuerdn")


def of_shown(record):
    shown = record.get(chain)
    if not shown:
        return None
    return certificates.get(shown.split(",", 1)[0] if form == "tsv" else shown[0])


def work(path, to, issuer_of):
    with open(to, "wb", buffering=1 << 20) as written:
        for record in read(path):
            issuer = issuer_of(record)
            if task == "join" and issuer_of is of_certificate and issuer is not None:
                certificates.setdefault(record[own], issuer)
            label = issuers.get(issuer)
            if label is not None:
                record["intel"] = label
            written.write(dumps(record))


with open(table, newline="", encoding="utf-8") as lines:
    issuers = {row["issuer"]: row["label"] for row in csv.DictReader(lines)}
certificates = {}
read = rows if form == "tsv" else objects
if form == "eve":
    work(f"{folder}/eve.json", f"{out}/eve.ndjson", of_event)
else:
    work(f"{folder}/x509.log", f"{out}/x509.ndjson", of_certificate)
    work(f"{folder}/ssl.log", f"{out}/ssl.ndjson", of_shown if task == "join" else of_session)
