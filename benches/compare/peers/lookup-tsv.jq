# Raw lines of Zeek's TSV, which has one header; $table is the table of issuers.
foreach inputs as $line (
    {};
    if $line | startswith("#") then
        if $line | startswith("#fields\t") then {columns: ($line / "\t")[1:]} else {columns} end
    else
        {columns, cells: ($line / "\t")}
    end;
    select(.cells)
    | [.columns, .cells] | transpose
    | map(select(.[1] != "-") | {key: .[0], value: .[1]}) | from_entries
    | $table[0][.issuer // .["certificate.issuer"] // ""] as $listed
    | if $listed then .intel = $listed else . end
)
