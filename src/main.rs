fn main(){ for c in vertex_injector::api::crds() { println!("---\n{}", serde_saphyr::to_string(&c).unwrap()); } }
