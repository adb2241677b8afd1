//! Whatever somebody does to a child, it is right again within two seconds: deletions, edits and additions alike.

use std::time::{Duration, Instant};

use atelier_api::{ComputeTarget, RoleAssignment, WebService};
use atelier_testkit::namespace::{QUICK, SLOW};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually, manifest, operator};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::any::{self, json_of, normal};

/// How long a child may stay wrong.
const REPAIR: Duration = Duration::from_secs(2);

type Edit = fn(&mut Value);

struct Child<'a> {
    ns: &'a TestNamespace,
    kind: &'static str,
    name: String,
    /// Whether the content of a Secret has to come back as it was.
    content: bool,
    worst: Duration,
}

impl<'a> Child<'a> {
    async fn new(ns: &'a TestNamespace, kind: &'static str, name: &str) -> Self {
        let child = Self {
            ns,
            kind,
            name: name.into(),
            content: true,
            worst: Duration::ZERO,
        };
        eventually(SLOW, &format!("{kind} {name} is there"), async || {
            child.get().await.map(drop)
        })
        .await;
        child
    }

    async fn get(&self) -> Result<Value, String> {
        any::api(self.ns, self.kind)
            .get(&self.name)
            .await
            .map(|o| json_of(&o))
            .map_err(|e| e.to_string())
    }

    fn form(&self, object: Value) -> Value {
        let mut form = normal(object);
        if !self.content {
            form["data"] = form["data"]
                .as_object()
                .into_iter()
                .flat_map(|data| data.keys().cloned())
                .collect();
            form["metadata"]["annotations"] = Value::Null;
        }
        form
    }

    /// Edits the child, and waits until it is as it was.
    async fn edited(&mut self, what: &str, edit: Edit) {
        let (mut wanted, edited) =
            eventually(QUICK, &format!("{} can be edited", self.name), async || {
                let before = self.get().await?;
                let mut edited = before.clone();
                edit(&mut edited);
                let edited = serde_json::from_value(edited).unwrap();
                let api = any::api(self.ns, self.kind);
                let edited = api
                    .replace(&self.name, &PostParams::default(), &edited)
                    .await
                    .map_err(|e| e.to_string())?;
                Ok((before, json_of(&edited)))
            })
            .await;
        wanted = self.form(wanted);
        assert_ne!(
            self.form(edited),
            wanted,
            "{what} changes {} {}",
            self.kind,
            self.name
        );
        self.right_again(what, &wanted).await;
    }

    /// Deletes the child, and waits until there is another, equal one.
    async fn deleted(&mut self) {
        let before = self.get().await.unwrap();
        let api = any::api(self.ns, self.kind);
        api.delete(&self.name, &DeleteParams::background())
            .await
            .unwrap();
        let uid = before["metadata"]["uid"].clone();
        let wanted = self.form(before);
        let begun = Instant::now();
        eventually(
            REPAIR,
            &format!("{} {} is made again", self.kind, self.name),
            async || {
                check(
                    self.get().await?["metadata"]["uid"] != uid,
                    "it has the old uid",
                )
            },
        )
        .await;
        self.right_again("deletion", &wanted).await;
        self.worst = self.worst.max(begun.elapsed());
    }

    async fn right_again(&mut self, what: &str, wanted: &Value) {
        let begun = Instant::now();
        let sentence = format!("{} {} is right again after {what}", self.kind, self.name);
        eventually(REPAIR, &sentence, async || {
            let now = self.form(self.get().await?);
            check(now == *wanted, format_args!("now {now}\nwanted {wanted}"))
        })
        .await;
        let took = begun.elapsed();
        self.worst = self.worst.max(took);
        println!("repair: {:14} {what}: {} ms", self.kind, took.as_millis());
    }

    /// What can be done to the metadata of every child.
    async fn metadata(&mut self) {
        self.edited("a label of ours changed", |o| {
            o["metadata"]["labels"]["atelier.dev/workspace"] = json!("other")
        })
        .await;
        self.edited("a label of ours added", |o| {
            o["metadata"]["labels"]["atelier.dev/more"] = json!("x")
        })
        .await;
        self.edited("the managed-by label removed", |o| {
            o["metadata"]["labels"]
                .as_object_mut()
                .unwrap()
                .remove("app.kubernetes.io/managed-by");
        })
        .await;
        self.edited("all labels removed", |o| {
            o["metadata"].as_object_mut().unwrap().remove("labels");
        })
        .await;
        self.edited("the owner reference removed", |o| {
            o["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("ownerReferences");
        })
        .await;
    }

    fn report(&self) {
        println!(
            "repair: {:14} worst: {} ms",
            self.kind,
            self.worst.as_millis()
        );
    }
}

/// A namespace with a workspace and a service without replicas, which has all children but pods.
async fn with_service(prefix: &str) -> TestNamespace {
    let ns = TestNamespace::with_workspace(prefix).await;
    let mut service = manifest::service("model");
    service["spec"]["replicas"] = json!(0);
    ns.create::<WebService>(service).await;
    ns
}

fn data(secret: &Value) -> Value {
    secret["data"].clone()
}

#[tokio::test]
async fn the_binding_of_an_assignment_comes_back() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("drift-binding").await;
    ns.create::<RoleAssignment>(manifest::role("reader", "Reader", "ann"))
        .await;
    ns.ready::<RoleAssignment>("reader", QUICK).await;
    let mut binding = Child::new(&ns, "RoleBinding", "reader-role").await;
    binding
        .edited("a subject added", |o| {
            let mut eve = o["subjects"][0].clone();
            eve["name"] = json!("eve");
            o["subjects"].as_array_mut().unwrap().push(eve);
        })
        .await;
    binding
        .edited("the subject changed", |o| {
            o["subjects"][0]["name"] = json!("eve")
        })
        .await;
    binding
        .edited("the subjects removed", |o| o["subjects"] = json!([]))
        .await;
    binding.metadata().await;
    binding.deleted().await;
    binding.report();

    // Its role cannot be edited, but it can be deleted and made with another one.
    let api = any::api(&ns, "RoleBinding");
    let mut more = json_of(&api.get("reader-role").await.unwrap());
    let wanted = normal(more.clone());
    more["roleRef"]["name"] = json!("atelier-owner");
    let metadata = more["metadata"].as_object_mut().unwrap();
    metadata.remove("resourceVersion");
    metadata.remove("uid");
    api.delete("reader-role", &DeleteParams::background())
        .await
        .unwrap();
    let begun = Instant::now();
    match api
        .create(
            &PostParams::default(),
            &serde_json::from_value(more).unwrap(),
        )
        .await
    {
        Ok(_) | Err(kube::Error::Api(_)) => {}
        Err(error) => panic!("{error}"),
    }
    eventually(REPAIR, "the binding has its role again", async || {
        let now = normal(json_of(
            &api.get("reader-role").await.map_err(|e| e.to_string())?,
        ));
        check(now == wanted, now)
    })
    .await;
    println!(
        "repair: {:14} made anew with another role: {} ms",
        "RoleBinding",
        begun.elapsed().as_millis()
    );
    ns.finish().await;
}

#[tokio::test]
async fn the_bindings_of_the_operator_and_of_a_gateway_come_back() {
    let _running = operator::undisturbed().await;
    let ns = with_service("drift-rights").await;
    let mut manager = Child::new(&ns, "RoleBinding", "atelier-workspace-manager").await;
    manager
        .edited("a subject added", |o| {
            let eve = json!({"kind": "ServiceAccount", "name": "default", "namespace": "default"});
            o["subjects"].as_array_mut().unwrap().push(eve);
        })
        .await;
    manager
        .edited("the managed-by label removed", |o| {
            o["metadata"]["labels"]
                .as_object_mut()
                .unwrap()
                .remove("app.kubernetes.io/managed-by");
        })
        .await;
    manager.deleted().await;
    manager.report();

    let mut binding = Child::new(&ns, "RoleBinding", "model-gateway").await;
    binding
        .edited("a subject added", |o| {
            let eve = json!({"kind": "ServiceAccount", "name": "default", "namespace": "default"});
            o["subjects"].as_array_mut().unwrap().push(eve);
        })
        .await;
    binding.metadata().await;
    binding.deleted().await;
    binding.report();

    let mut role = Child::new(&ns, "Role", "model-gateway").await;
    role.edited("a rule added", |o| {
        let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
        o["rules"].as_array_mut().unwrap().push(rule);
    })
    .await;
    role.edited("the Secret's name removed", |o| {
        o["rules"][0]
            .as_object_mut()
            .unwrap()
            .remove("resourceNames");
    })
    .await;
    role.edited("the rules removed", |o| o["rules"] = Value::Null)
        .await;
    role.metadata().await;
    role.deleted().await;
    role.report();
    ns.finish().await;
}

#[tokio::test]
async fn the_service_accounts_come_back() {
    let _running = operator::undisturbed().await;
    let ns = with_service("drift-account").await;
    for name in ["team", "team-run", "model-gateway"] {
        let mut account = Child::new(&ns, "ServiceAccount", name).await;
        account
            .edited("its token mounted", |o| {
                o["automountServiceAccountToken"] = json!(true)
            })
            .await;
        account.metadata().await;
        account.deleted().await;
        account.report();
    }
    // The tokens that pods hold died with the account: the pods have to be new.
    let uid = Child::new(&ns, "ServiceAccount", "model-gateway")
        .await
        .get()
        .await
        .unwrap()["metadata"]["uid"]
        .clone();
    let deployment = Child::new(&ns, "Deployment", "model").await;
    eventually(
        REPAIR,
        "the pods' template names the new ServiceAccount",
        async || {
            let template =
                deployment.get().await?["spec"]["template"]["metadata"]["annotations"].clone();
            check(template["atelier.dev/service-account-uid"] == uid, template)
        },
    )
    .await;
    ns.finish().await;
}

#[tokio::test]
async fn the_service_and_the_deployment_come_back() {
    let _running = operator::undisturbed().await;
    let ns = with_service("drift-service").await;
    let mut service = Child::new(&ns, "Service", "model").await;
    service
        .edited("a port added", |o| {
            let port =
                json!({"name": "admin", "port": 8081, "protocol": "TCP", "targetPort": 8081});
            o["spec"]["ports"].as_array_mut().unwrap().push(port);
        })
        .await;
    service
        .edited("the selector changed", |o| {
            o["spec"]["selector"] = json!({"app": "other"})
        })
        .await;
    service
        .edited("opened to the outside", |o| {
            o["spec"]["type"] = json!("NodePort")
        })
        .await;
    service
        .edited("an external address added", |o| {
            o["spec"]["externalIPs"] = json!(["198.51.100.7"])
        })
        .await;
    service.metadata().await;
    service.deleted().await;
    service.report();

    let mut deployment = Child::new(&ns, "Deployment", "model").await;
    deployment
        .edited("a container added", |o| {
            let mut more = o["spec"]["template"]["spec"]["containers"][0].clone();
            more["name"] = json!("more");
            o["spec"]["template"]["spec"]["containers"]
                .as_array_mut()
                .unwrap()
                .push(more);
        })
        .await;
    deployment
        .edited("the gateway's image changed", |o| {
            o["spec"]["template"]["spec"]["containers"][0]["image"] = json!("localhost/other:1");
        })
        .await;
    deployment
        .edited("the model's image changed", |o| {
            o["spec"]["template"]["spec"]["initContainers"][0]["image"] =
                json!("localhost/other:1");
        })
        .await;
    deployment
        .edited("an argument added", |o| {
            let args = &mut o["spec"]["template"]["spec"]["containers"][0]["args"];
            args.as_array_mut()
                .unwrap()
                .push(json!("--model=10.0.0.1:80"));
        })
        .await;
    deployment
        .edited("a variable added", |o| {
            let env = &mut o["spec"]["template"]["spec"]["containers"][0]["env"];
            env.as_array_mut()
                .unwrap()
                .push(json!({"name": "A", "value": "b"}));
        })
        .await;
    deployment
        .edited("the keys mounted", |o| {
            let volumes = &mut o["spec"]["template"]["spec"]["volumes"];
            volumes
                .as_array_mut()
                .unwrap()
                .push(json!({"name": "keys", "secret": {"secretName": "model-keys"}}));
        })
        .await;
    deployment
        .edited("another ServiceAccount", |o| {
            o["spec"]["template"]["spec"]["serviceAccountName"] = json!("default");
            o["spec"]["template"]["spec"]["serviceAccount"] = json!("default");
        })
        .await;
    deployment
        .edited("a host namespace", |o| {
            o["spec"]["template"]["spec"]["hostPID"] = json!(true)
        })
        .await;
    deployment
        .edited("paused", |o| o["spec"]["paused"] = json!(true))
        .await;
    deployment
        .edited("scaled", |o| o["spec"]["replicas"] = json!(1))
        .await;
    deployment.metadata().await;
    deployment.deleted().await;
    deployment.report();
    ns.finish().await;
}

#[tokio::test]
async fn the_secrets_come_back_and_the_keys_stay_what_they_were() {
    let _running = operator::undisturbed().await;
    let ns = with_service("drift-secrets").await;
    let mut gateway = Child::new(&ns, "Secret", "model-gateway").await;
    let mut keys = Child::new(&ns, "Secret", "model-keys").await;
    let before = data(&keys.get().await.unwrap());
    for secret in [&mut gateway, &mut keys] {
        secret
            .edited("an entry added", |o| o["data"]["more"] = json!("eA=="))
            .await;
        secret.metadata().await;
    }
    gateway
        .edited("the policy replaced", |o| {
            o["data"]["policy.json"] = json!("e30=")
        })
        .await;
    gateway
        .edited("the policy removed", |o| o["data"] = Value::Null)
        .await;
    gateway.deleted().await;
    gateway.report();
    assert_eq!(
        data(&keys.get().await.unwrap()),
        before,
        "no key was touched, so none may change"
    );

    // A slot that was tampered with is made anew; the other one is kept.
    keys.content = false;
    for (slot, other) in [("primary", "secondary"), ("secondary", "primary")] {
        let before = data(&keys.get().await.unwrap());
        let mut tampered = keys.get().await.unwrap();
        // What somebody would write who wants to know the key: of the right form.
        tampered["data"][slot] =
            json!("YXRsX0FBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=");
        let put = serde_json::from_value(tampered.clone()).unwrap();
        any::api(&ns, "Secret")
            .replace("model-keys", &PostParams::default(), &put)
            .await
            .unwrap();
        let begun = Instant::now();
        let after = eventually(REPAIR, "the tampered key is made anew", async || {
            let now = data(&keys.get().await?);
            check(
                now[slot] != tampered["data"][slot],
                "the tampered key is there",
            )?;
            Ok(now)
        })
        .await;
        println!(
            "repair: {:14} the {slot} key tampered with: {} ms",
            "Secret",
            begun.elapsed().as_millis()
        );
        assert_ne!(
            after[slot], before[slot],
            "whoever tampered may know the old key too"
        );
        assert_eq!(after[other], before[other], "the other key is kept");
    }
    keys.edited("the keys removed", |o| o["data"] = json!({}))
        .await;
    let before = data(&keys.get().await.unwrap());
    keys.deleted().await;
    let after = data(&keys.get().await.unwrap());
    assert!(after["primary"] != before["primary"] && after["secondary"] != before["secondary"]);
    keys.report();

    // What gateways go by follows.
    let uid = keys.get().await.unwrap()["metadata"]["uid"].clone();
    eventually(
        REPAIR,
        "the gateway's Secret was made from the new keys",
        async || {
            let annotations = gateway.get().await?["metadata"]["annotations"].clone();
            check(annotations["atelier.dev/keys-uid"] == uid, annotations)
        },
    )
    .await;
    ns.finish().await;
}

#[tokio::test]
async fn the_placeholder_of_an_idle_node_comes_back() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("drift-pod").await;
    ns.create::<ComputeTarget>(manifest::target("cpu", 1, 1, 3600))
        .await;
    ns.ready::<ComputeTarget>("cpu", SLOW).await;
    let name = ns.pods("atelier.dev/compute-target=cpu").await[0].name_any();
    let mut pod = Child::new(&ns, "Pod", &name).await;
    pod.metadata().await;
    pod.edited("the slot changed", |o| {
        o["metadata"]["labels"]["atelier.dev/slot"] = json!("7")
    })
    .await;
    pod.edited("the image changed", |o| {
        o["spec"]["containers"][0]["image"] = json!("localhost/other:1");
    })
    .await;
    pod.deleted().await;
    pod.report();
    ns.finish().await;
}
