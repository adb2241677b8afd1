//! `atelier crd`: writes the CustomResourceDefinitions.

use std::path::Path;

use anyhow::Context as _;

/// Writes each definition to `<dir>/<plural>.yaml`.
pub fn write(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    for crd in atelier_api::crds() {
        let path = dir.join(format!("{}.yaml", crd.spec.names.plural));
        // Through a value, so that the order of keys is always the same.
        let yaml = serde_saphyr::to_string(&serde_json::to_value(&crd)?)?;
        let text = format!("# Written by `atelier crd`; do not edit.\n{yaml}");
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
