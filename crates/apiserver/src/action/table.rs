//! Answers as tables, for `kubectl get`.

use http::HeaderMap;
use serde_json::{Value, json};

use crate::accept;

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its head.
    pub name: &'static str,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: &'static str,
    /// One sentence about it.
    pub description: &'static str,
    /// 0, or greater for what only `-o wide` shows.
    pub priority: i32,
}

/// How an answer becomes a table: its columns, and a function that gives the cells of each row.
pub struct Table<R> {
    columns: Vec<Column>,
    rows: fn(&R) -> Vec<Vec<Value>>,
}

impl<R> Table<R> {
    /// A table.
    #[must_use]
    pub fn new(columns: Vec<Column>, rows: fn(&R) -> Vec<Vec<Value>>) -> Self {
        Self { columns, rows }
    }

    pub(super) fn render(&self, answer: &R, plain: &Value) -> Value {
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|c| {
                json!({
                    "name": c.name, "type": c.kind, "format": "", "description": c.description,
                    "priority": c.priority,
                })
            })
            .collect();
        let object = json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": plain.get("metadata").unwrap_or(&Value::Null),
        });
        let rows: Vec<_> = (self.rows)(answer)
            .into_iter()
            .map(|cells| json!({"cells": cells, "object": object}))
            .collect();
        json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "Table", "metadata": {},
            "columnDefinitions": columns, "rows": rows,
        })
    }
}

/// Whether a client would rather have a table.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    accept::wanted(headers)
        .iter()
        .find_map(|wanted| {
            let table = wanted.is_json_as("Table", "meta.k8s.io", "v1");
            (table || wanted.is_json()).then_some(table)
        })
        .unwrap_or(false)
}
