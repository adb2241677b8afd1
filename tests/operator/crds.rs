//! The definitions in the repository are those the program writes. Needs no cluster.

use std::collections::BTreeMap;
use std::path::Path;

fn yaml_files(dir: &Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    files
        .map(|path| (name(&path), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

#[test]
fn the_definitions_are_those_the_program_writes() {
    let dir = std::env::temp_dir().join(format!("atelier-crds-{}", std::process::id()));
    atelier::crd::write(&dir).unwrap();
    let written = yaml_files(&dir);
    std::fs::remove_dir_all(&dir).unwrap();
    let root = atelier_testkit::cluster::root();
    assert_eq!(written.len(), 5);
    for (name, text) in written {
        let kept = std::fs::read_to_string(root.join("crds").join(&name)).unwrap();
        assert!(
            kept == text,
            "crds/{name} is not what the program writes; run: make generate"
        );
    }
}

#[test]
fn every_definition_fits_into_an_annotation() {
    for crd in atelier_api::crds() {
        let size = serde_json::to_vec(&crd).unwrap().len();
        assert!(size < 256 * 1024, "{}: {size} bytes", crd.spec.names.plural);
    }
}
