"""Reads files of certsift's output into DuckDB as anybody would, who knows nothing of them, and says what came of it.

Arguments: a schema (raw, ecs, ocsf) and files. The types are those that DuckDB finds by itself over all lines. It fails where
a column is of one type in one file and of another in another, or is no column but a piece of JSON; of raw records that is asked
of each file by itself, and of the certsift object over all of them.
"""

import sys

import duckdb

INTEGERS = {"BIGINT", "UBIGINT", "HUGEINT", "INTEGER"}
# What is there without a value: an empty list says nothing of what it is a list of.
NOTHING = {"JSON", "NULL"}


def leaves(name, kind):
    if kind.id == "struct":
        for inner, child in kind.children:
            yield from leaves(f"{name}.{inner}", child)
    elif kind.id == "list":
        yield from leaves(f"{name}[]", kind.children[0][1])
    elif str(kind) in INTEGERS:
        yield name, "INTEGER"
    else:
        yield name, str(kind)


def read(files):
    return duckdb.sql(
        "select * from read_json($files, format = 'newline_delimited', sample_size = -1, union_by_name = true)",
        params={"files": files},
    )


def types(files):
    relation = read(files)
    return dict(leaf for column, kind in zip(relation.columns, relation.types) for leaf in leaves(column, kind))


def no_column(found):
    return [f"{name}: {kind}" for name, kind in found.items() if kind == "JSON" or kind.startswith("MAP")]


def main(schema, files):
    alone = {file: types([file]) for file in files}
    together = types(files)
    problems = []
    if schema == "raw":
        for file, found in alone.items():
            problems += [f"{file}: {column}" for column in no_column(found)]
        together = {name: kind for name, kind in together.items() if name.startswith("certsift.")}
    problems += no_column(together)
    for file, found in alone.items():
        for name, kind in together.items():
            if found.get(name, kind) not in NOTHING | {kind}:
                problems.append(f"{name} is {kind}, and {found[name]} in {file}")
    verdict = {"ocsf": "enrichments[1].data.verdict"}.get(schema, "certsift.verdict")
    records = read(files)
    rows = duckdb.sql(f"select {verdict} as verdict, count(*) as records from records group by all order by all").fetchall()
    counts = ", ".join(f"{verdict or 'none'} {count}" for verdict, count in rows)
    kinds = {}
    for kind in together.values():
        kinds[kind] = kinds.get(kind, 0) + 1
    print(f"{schema}: DuckDB {duckdb.__version__}, files {len(files)}, records {sum(row[1] for row in rows)} ({counts})")
    print(f"{schema}: fields {len(together)} " + str(dict(sorted(kinds.items()))))
    for problem in problems:
        print(f"conflict: {problem}")
    return 1 if problems else 0


sys.exit(main(sys.argv[1], sys.argv[2:]))
