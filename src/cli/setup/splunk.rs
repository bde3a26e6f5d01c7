//! Splunk: how events are read, and what their fields are called in the Common Information Model.

use super::{File, Setup, Together};

pub(super) fn setup() -> Setup {
    let files = [
        ("props.conf", include_str!("files/props.conf")),
        ("transforms.conf", include_str!("files/transforms.conf")),
        ("eventtypes.conf", include_str!("files/eventtypes.conf")),
        ("tags.conf", include_str!("files/tags.conf")),
    ];
    let files = files.map(|(name, text)| File { name, text: text.into() });
    let advice = "put the files into etc/apps/certsift/default of the search heads; props.conf also of the forwarder that \
                  reads the output,\nwith sourcetype certsift for raw records, certsift:ecs or certsift:ocsf for those formats\n";
    Setup { files: files.into(), together: Together::Commented, advice: advice.to_owned() }
}
