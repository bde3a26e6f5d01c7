# Raw lines of Zeek's TSV, which has one header; $table is the table of issuers.
((first(inputs | select(startswith("#fields\t"))) / "\t")[1:]) as $columns
| ($columns | length) as $width
| inputs
| select(startswith("#") | not)
| (. / "\t") as $cells
| reduce range($width) as $at ({}; if $cells[$at] == "-" then . else .[$columns[$at]] = $cells[$at] end)
| $table[0][.issuer // .["certificate.issuer"] // ""] as $listed
| if $listed then .intel = $listed else . end
