//! What watches certsift itself, by the metrics of `observe.listen`.

use super::{File, Setup, Together};

pub(super) fn grafana() -> Setup {
    alone("certsift.json", include_str!("../../../packaging/grafana/certsift.json"), "import it as a dashboard\n")
}

pub(super) fn prometheus() -> Setup {
    alone(
        "certsift.rules.yml",
        include_str!("../../../packaging/prometheus/certsift.rules.yml"),
        "name it in rule_files, for a scrape job that is called certsift\n",
    )
}

fn alone(name: &'static str, text: &'static str, advice: &str) -> Setup {
    Setup { files: vec![File { name, text: text.into() }], together: Together::Alone, advice: advice.to_owned() }
}
