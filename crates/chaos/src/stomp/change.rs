//! What can be done to a child. Each change is an edit of the object as it is; whether it made a difference is judged
//! by the object that came of it.

use serde_json::{Value, json};

/// A change: its name, and the edit. Without one the child is deleted.
#[derive(Clone, Copy)]
pub struct Change {
    /// Names it in reports.
    pub name: &'static str,
    /// Makes it. `None` deletes the child.
    pub edit: Option<fn(&mut Value)>,
}

/// Changes that the operator cannot tell from each other: it sees what carries its label, and this does not any more.
const VANISHES: [&str; 4] = [
    "delete",
    "take all labels",
    "take managed-by",
    "give to another manager",
];

impl Change {
    /// What it looks like to the operator.
    pub fn seen_as(&self) -> &'static str {
        match VANISHES.contains(&self.name) {
            true => VANISHES[0],
            false => self.name,
        }
    }
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! edits {
    ($($name:literal => $edit:expr;)*) => {
        &[$(Change { name: $name, edit: Some($edit) }),*]
    };
}

const ANY: &[Change] = &[
    Change {
        name: "delete",
        edit: None,
    },
    Change {
        name: "take all labels",
        edit: Some(|o| o["metadata"]["labels"] = json!({})),
    },
    Change {
        name: "take managed-by",
        edit: Some(|o| remove(&mut o["metadata"]["labels"], "app.kubernetes.io/managed-by")),
    },
    Change {
        name: "give to another manager",
        edit: Some(|o| o["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("helm")),
    },
    Change {
        name: "change the instance label",
        edit: Some(|o| o["metadata"]["labels"]["app.kubernetes.io/instance"] = json!("another")),
    },
    Change {
        name: "change the workspace label",
        edit: Some(|o| o["metadata"]["labels"]["atelier.dev/workspace"] = json!("another")),
    },
    Change {
        name: "add a label of ours",
        edit: Some(|o| o["metadata"]["labels"]["atelier.dev/stomped"] = json!("yes")),
    },
    Change {
        name: "add an annotation of ours",
        edit: Some(|o| o["metadata"]["annotations"]["atelier.dev/stomped"] = json!("yes")),
    },
    Change {
        name: "take the owner",
        edit: Some(|o| remove(&mut o["metadata"], "ownerReferences")),
    },
    Change {
        name: "make the owner no controller",
        edit: Some(|o| {
            owner(o, |owner| {
                owner["controller"] = json!(false);
            });
        }),
    },
    Change {
        name: "let the child hold up its owner",
        edit: Some(|o| owner(o, |owner| owner["blockOwnerDeletion"] = json!(true))),
    },
    Change {
        name: "name an owner that is gone",
        edit: Some(|o| {
            owner(o, |owner| {
                owner["uid"] = json!("00000000-0000-4000-8000-000000000000")
            });
        }),
    },
    Change {
        name: "add an owner",
        edit: Some(add_owner),
    },
];

const SERVICE_ACCOUNT: &[Change] = edits! {
    "mount its token" => |o| o["automountServiceAccountToken"] = json!(true);
    "say nothing of its token" => |o| remove(o, "automountServiceAccountToken");
};

const ROLE: &[Change] = edits! {
    "add a verb" => |o| push(&mut o["rules"][0]["verbs"], json!("delete"));
    "add a rule" => |o| push(&mut o["rules"], json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}));
    "take all rules" => |o| o["rules"] = json!([]);
    "take the name" => |o| remove(&mut o["rules"][0], "resourceNames");
};

const ROLE_BINDING: &[Change] = edits! {
    "add a subject" => |o| push(&mut o["subjects"], json!({"kind": "ServiceAccount", "name": "default", "namespace": "default"}));
    "change the subject" => |o| o["subjects"][0]["name"] = json!("mallory");
    "take all subjects" => |o| o["subjects"] = json!([]);
};

const SECRET: &[Change] = edits! {
    "spoil an entry" => |o| { first(&mut o["data"], |value| *value = json!("c3RvbXBlZA==")); };
    "empty an entry" => |o| { first(&mut o["data"], |value| *value = json!("")); };
    "take an entry" => |o| {
        if let Some(data) = o["data"].as_object_mut() && let Some(name) = data.keys().next().cloned() {
            data.remove(&name);
        }
    };
    "take all entries" => |o| o["data"] = json!({});
    "add an entry" => |o| o["data"]["stomped"] = json!("eWVz");
    "make it immutable" => |o| o["immutable"] = json!(true);
};

const SERVICE: &[Change] = edits! {
    "change the port" => |o| o["spec"]["ports"][0]["port"] = json!(81);
    "change the target port" => |o| o["spec"]["ports"][0]["targetPort"] = json!(22);
    "add a port" => |o| push(&mut o["spec"]["ports"], json!({"name": "stomped", "port": 9999}));
    "add a selector label" => |o| o["spec"]["selector"]["stomped"] = json!("yes");
    "select other pods" => |o| o["spec"]["selector"] = json!({"app": "another"});
    "make it a node port" => |o| o["spec"]["type"] = json!("NodePort");
    "add an external address" => |o| o["spec"]["externalIPs"] = json!(["192.0.2.1"]);
    "make clients sticky" => |o| o["spec"]["sessionAffinity"] = json!("ClientIP");
    "make it an external name" => |o| {
        o["spec"]["type"] = json!("ExternalName");
        o["spec"]["externalName"] = json!("elsewhere.example.com");
        ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"].iter().for_each(|field| remove(&mut o["spec"], field));
    };
};

const DEPLOYMENT: &[Change] = edits! {
    "scale to nothing" => |o| o["spec"]["replicas"] = json!(0);
    "scale up" => |o| o["spec"]["replicas"] = json!(2);
    "change the image" => |o| pod(o)["containers"][0]["image"] = json!("localhost/stomped:1");
    "change the model's image" => |o| pod(o)["initContainers"][0]["image"] = json!("localhost/stomped:1");
    "change an argument" => |o| pod(o)["containers"][0]["args"][0] = json!("--listen=0.0.0.0:9");
    "add an argument" => |o| push(&mut pod(o)["containers"][0]["args"], json!("--stomped"));
    "add a variable" => |o| push(&mut pod(o)["containers"][0]["env"], json!({"name": "STOMPED", "value": "yes"}));
    "add a port" => |o| push(&mut pod(o)["containers"][0]["ports"], json!({"containerPort": 9999}));
    "add a container" => |o| {
        let mut container = pod(o)["containers"][0].clone();
        container["name"] = json!("stomped");
        remove(&mut container, "ports");
        push(&mut pod(o)["containers"], container);
    };
    "let it be root" => |o| remove(&mut pod(o)["containers"][0], "securityContext");
    "mount the token" => |o| pod(o)["automountServiceAccountToken"] = json!(true);
    "take a probe" => |o| remove(&mut pod(o)["containers"][0], "readinessProbe");
    "add a label to pods" => |o| o["spec"]["template"]["metadata"]["labels"]["stomped"] = json!("yes");
    "add an annotation to pods" => |o| o["spec"]["template"]["metadata"]["annotations"]["stomped"] = json!("yes");
    "pause it" => |o| o["spec"]["paused"] = json!(true);
    "recreate pods" => |o| o["spec"]["strategy"] = json!({"type": "Recreate"});
    "wait for pods" => |o| o["spec"]["minReadySeconds"] = json!(5);
};

const POD: &[Change] = edits! {
    "change the image" => |o| o["spec"]["containers"][0]["image"] = json!("localhost/stomped:1");
    "change the slot" => |o| o["metadata"]["labels"]["atelier.dev/slot"] = json!("7");
    "take the slot" => |o| remove(&mut o["metadata"]["labels"], "atelier.dev/slot");
    "take the target" => |o| remove(&mut o["metadata"]["labels"], "atelier.dev/compute-target");
    "take the time" => |o| remove(&mut o["metadata"]["annotations"], "atelier.dev/idle-since");
};

/// All that can be done to a child of a kind.
pub fn changes(kind: &str) -> Vec<Change> {
    let own = match kind {
        "ServiceAccount" => SERVICE_ACCOUNT,
        "Role" => ROLE,
        "RoleBinding" => ROLE_BINDING,
        "Secret" => SECRET,
        "Service" => SERVICE,
        "Deployment" => DEPLOYMENT,
        "Pod" => POD,
        _ => &[],
    };
    ANY.iter().chain(own).copied().collect()
}

fn remove(value: &mut Value, field: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(field);
    }
}

fn push(list: &mut Value, item: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}

fn first(data: &mut Value, edit: impl FnOnce(&mut Value)) {
    if let Some(value) = data
        .as_object_mut()
        .and_then(|data| data.values_mut().next())
    {
        edit(value);
    }
}

fn pod(deployment: &mut Value) -> &mut Value {
    &mut deployment["spec"]["template"]["spec"]
}

fn owner(object: &mut Value, edit: impl FnOnce(&mut Value)) {
    if let Some(owner) = object.pointer_mut("/metadata/ownerReferences/0") {
        edit(owner);
    }
}

/// An owner beside ours that exists, so that the garbage collector has nothing to say about it: the root certificates
/// that are in every namespace.
fn add_owner(object: &mut Value) {
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "kube-root-ca.crt", "uid": object["stomper"]});
    match object.pointer_mut("/metadata/ownerReferences") {
        Some(owners) => push(owners, owner),
        None => object["metadata"]["ownerReferences"] = json!([owner]),
    }
}
