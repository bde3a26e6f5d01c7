# Lines of JSON; $table is the table of issuers.
(.issuer // .["certificate.issuer"] // .tls?.issuerdn? // "") as $issuer
| $table[0][$issuer] as $listed
| if $listed then .intel = $listed else . end
