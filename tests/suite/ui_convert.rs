//! How saved graphs become prompts, rule by rule on the smallest graphs that show it.
//!
//! What the frontend makes of whole ones is in `golden_ui`.

use massmediafactory::clock::Clock;
use massmediafactory::comfy::nodes::NodeFacts;
use massmediafactory::comfy::ui::{
    Converted, Editor, Note, Options, UiError, Unknown, is_ui_format, to_api,
};
use massmediafactory::failure::Failure;
use serde_json::{Value, json};

fn options() -> Options {
    Options::new(&Clock::fixed("2026-11-22T09:00:00Z".parse().unwrap()))
}

fn convert(graph: &Value) -> Result<Converted, UiError> {
    to_api(graph, &NodeFacts::bundled(), &options())
}

fn prompt(graph: &Value) -> Value {
    convert(graph).unwrap().workflow.into_json()
}

/// As the editor does it where the values were saved for other widgets.
fn as_it_is(graph: &Value) -> Value {
    let options = Options {
        as_is: true,
        ..options()
    };
    let converted = to_api(graph, &NodeFacts::bundled(), &options);
    converted.unwrap().workflow.into_json()
}

/// A node with links into inputs, given as name, type and link.
fn node(id: u32, class: &str, inputs: &[(&str, &str, u32)], values: Value) -> Value {
    let inputs: Vec<Value> = inputs
        .iter()
        .map(|(name, io_type, link)| json!({ "name": name, "type": io_type, "link": link }))
        .collect();
    let mut node = json!({ "id": id, "type": class, "mode": 0, "inputs": inputs });
    node["widgets_values"] = values;
    node
}

fn in_mode(mode: u32, mut node: Value) -> Value {
    node["mode"] = mode.into();
    node
}

fn graph(nodes: &[Value], links: Value) -> Value {
    let mut graph = json!({ "nodes": nodes, "version": 0.4 });
    graph["links"] = links;
    graph
}

fn image(id: u32) -> Value {
    node(id, "EmptyImage", &[], json!([8, 8, 1, 0]))
}

fn preview(id: u32, link: u32) -> Value {
    node(id, "PreviewImage", &[("images", "IMAGE", link)], json!([]))
}

#[test]
fn a_graph_is_told_from_a_prompt() {
    assert!(is_ui_format(&graph(&[], json!([]))));
    assert!(!is_ui_format(
        &json!({ "1": { "class_type": "A", "inputs": {} } })
    ));
    assert!(!is_ui_format(&json!([])));
}

#[test]
fn both_versions_of_the_format_give_the_same() {
    let old = graph(
        &[image(2), preview(1, 7)],
        json!([[7, 2, 0, 1, 0, "IMAGE"]]),
    );
    let mut new = graph(
        &[image(2), preview(1, 7)],
        json!([{
            "id": 7, "origin_id": 2, "origin_slot": 0,
            "target_id": 1, "target_slot": 0, "type": "IMAGE",
        }]),
    );
    new["version"] = json!(1);
    new["state"] = json!({ "lastNodeId": 2 });
    assert_eq!(prompt(&old), prompt(&new));
    assert_eq!(
        prompt(&old)["1"],
        json!({
            "inputs": { "images": ["2", 0] },
            "class_type": "PreviewImage",
            "_meta": { "title": "Preview Image" },
        })
    );
}

#[test]
fn nodes_stand_in_the_order_of_javascript_objects() {
    let converted = prompt(&graph(&[image(10), image(9), image(100)], json!([])));
    let ids: Vec<&String> = converted.as_object().unwrap().keys().collect();
    assert_eq!(ids, ["9", "10", "100"]);
}

#[test]
fn values_have_their_places_and_seeds_bring_one_of_their_own() {
    let sampler = node(
        1,
        "KSampler",
        &[],
        json!([5, "randomize", 7, 2.0, "sample_euler", "normal", 0.5]),
    );
    let inputs = &prompt(&graph(&[sampler], json!([])))["1"]["inputs"];
    assert_eq!(
        *inputs,
        json!({
            "seed": 5, "steps": 7, "cfg": 2, "sampler_name": "euler",
            "scheduler": "normal", "denoise": 0.5,
        })
    );
}

#[test]
fn a_seed_of_an_old_server_has_a_value_behind_it_as_well() {
    let facts = br#"{"Old": {"input": {"required": {"seed": ["INT", {}], "n": ["INT", {}]}}}}"#;
    let facts = NodeFacts::read(&facts[..]).unwrap();
    let graph = graph(&[node(1, "Old", &[], json!([3, "fixed", 4]))], json!([]));
    let converted = to_api(&graph, &facts, &options()).unwrap().workflow;
    assert_eq!(
        converted.into_json()["1"]["inputs"],
        json!({ "seed": 3, "n": 4 })
    );
}

#[test]
fn missing_values_are_defaults_and_surplus_ones_mean_nothing() {
    let short = node(1, "EmptyImage", &[], json!([16]));
    let long = node(2, "EmptyImage", &[], json!([1, 2, 3, 4, "image", null]));
    let converted = prompt(&graph(&[short, long], json!([])));
    assert_eq!(
        converted["1"]["inputs"],
        json!({ "width": 16, "height": 512, "batch_size": 1, "color": 0 })
    );
    assert_eq!(
        converted["2"]["inputs"],
        json!({ "width": 1, "height": 2, "batch_size": 3, "color": 4 })
    );
}

#[test]
fn a_node_pack_may_save_its_values_by_name() {
    let facts = br#"{"Combine": {"python_module": "custom_nodes.videos", "input": {"required": {
        "images": ["IMAGE"], "rate": ["INT", {"default": 8}], "loops": ["INT", {}]
    }}}}"#;
    let facts = NodeFacts::read(&facts[..]).unwrap();
    let values = json!({ "rate": 24, "crf": 19, "videopreview": { "hidden": false } });
    let combine = graph(&[node(1, "Combine", &[], values)], json!([]));
    let converted = to_api(&combine, &facts, &options()).unwrap().workflow;
    assert_eq!(
        converted.into_json()["1"]["inputs"],
        json!({ "rate": 24, "loops": 0, "crf": 19 })
    );
}

#[test]
fn a_node_of_a_pack_with_more_values_than_it_declares_is_told() {
    let facts = br#"{"Loras": {"python_module": "custom_nodes.loras", "input": {}}}"#;
    let facts = NodeFacts::read(&facts[..]).unwrap();
    let loras = graph(
        &[node(1, "Loras", &[], json!([{}, { "lora": "a" }]))],
        json!([]),
    );
    let notes = to_api(&loras, &facts, &options()).unwrap().notes;
    assert!(
        matches!(notes[..], [Note::Surplus { values: 2, .. }]),
        "{notes:?}"
    );
}

#[test]
fn a_list_is_told_from_a_link() {
    let facts = br#"{"Colors": {"input": {"required": {"colors": ["COLORS", {}]}}}}"#;
    let facts = NodeFacts::read(&facts[..]).unwrap();
    let graph = graph(&[node(1, "Colors", &[], json!([["a", "b"]]))], json!([]));
    let converted = to_api(&graph, &facts, &options()).unwrap().workflow;
    assert_eq!(
        converted.into_json()["1"]["inputs"]["colors"],
        json!({ "__value__": ["a", "b"] })
    );
}

#[test]
fn a_choice_brings_its_inputs_and_they_their_values() {
    let save = |values| node(1, "SaveVideo", &[], values);
    let inputs = |values| prompt(&graph(&[save(values)], json!([])))["1"]["inputs"].clone();
    assert_eq!(
        inputs(json!(["v/x", "mp4", "h264"])),
        json!({
            "filename_prefix": "v/x", "format": "mp4", "format.codec": "h264",
            "format.codec.encoding": "auto", "codec": "auto",
        })
    );
    let unknown = save(json!(["v/x", "nothing like it", "left"]));
    assert_eq!(
        as_it_is(&graph(&[unknown], json!([])))["1"]["inputs"],
        json!({ "filename_prefix": "v/x", "format": "nothing like it", "codec": "left" })
    );
}

#[test]
fn of_a_growing_row_only_what_is_connected_comes_out() {
    let batch = node(
        3,
        "BatchImagesNode",
        &[("images.image0", "IMAGE", 1), ("images.image4", "IMAGE", 2)],
        json!([]),
    );
    let links = json!([[1, 1, 0, 3, 0, "IMAGE"], [2, 2, 0, 3, 4, "IMAGE"]]);
    let inputs = &prompt(&graph(&[image(1), image(2), batch], links))["3"]["inputs"];
    assert_eq!(
        *inputs,
        json!({ "images.image0": ["1", 0], "images.image4": ["2", 0] })
    );
}

#[test]
fn a_connected_widget_keeps_its_place_and_a_muted_one_its_value() {
    let number = node(2, "PrimitiveInt", &[], json!([77, "fixed"]));
    let mut picture = image(1);
    picture["inputs"] =
        json!([{ "name": "height", "type": "INT", "link": 1, "widget": { "name": "height" } }]);
    let links = json!([[1, 2, 0, 1, 0, "INT"]]);
    let linked = prompt(&graph(&[picture.clone(), number.clone()], links.clone()));
    assert_eq!(
        linked["1"]["inputs"].to_string(),
        r#"{"width":8,"height":["2",0],"batch_size":1,"color":0}"#
    );
    let muted = prompt(&graph(&[picture, in_mode(2, number)], links));
    assert_eq!(muted["1"]["inputs"]["height"], 8);
    assert!(muted.get("2").is_none());
}

#[test]
fn an_input_of_a_widget_that_is_gone_goes_too() {
    let mut picture = image(1);
    picture["inputs"] =
        json!([{ "name": "depth", "type": "INT", "link": 1, "widget": { "name": "depth" } }]);
    let number = node(2, "PrimitiveInt", &[], json!([77]));
    let converted = prompt(&graph(&[picture, number], json!([[1, 2, 0, 1, 0, "INT"]])));
    assert!(converted["1"]["inputs"].get("depth").is_none());
}

#[test]
fn reroutes_notes_and_primitives_are_not_there() {
    let reroute = |id, link| node(id, "Reroute", &[("", "*", link)], json!(null));
    let mut sized = image(1);
    sized["inputs"] =
        json!([{ "name": "width", "type": "INT", "link": 4, "widget": { "name": "width" } }]);
    let nodes = [
        sized,
        reroute(2, 1),
        reroute(3, 2),
        preview(4, 3),
        node(5, "Note", &[], json!(["words"])),
        node(6, "MarkdownNote", &[], json!(["words"])),
        node(7, "PrimitiveNode", &[], json!([99_999, "fixed"])),
    ];
    let links = json!([
        [1, 1, 0, 2, 0, "*"],
        [2, 2, 0, 3, 0, "*"],
        [3, 3, 0, 4, 0, "*"],
        [4, 7, 0, 1, 0, "INT"],
    ]);
    let converted = prompt(&graph(&nodes, links));
    assert_eq!(converted.as_object().unwrap().len(), 2);
    assert_eq!(converted["4"]["inputs"]["images"], json!(["1", 0]));
    assert_eq!(
        converted["1"]["inputs"]["width"], 16_384,
        "no more than fits"
    );
}

#[test]
fn a_bypassed_node_hands_on_one_input() {
    let scale = |id, link| {
        let scale = node(
            id,
            "ImageScaleBy",
            &[("image", "IMAGE", link)],
            json!(["lanczos", 2]),
        );
        in_mode(4, scale)
    };
    let links = json!([
        [1, 1, 0, 2, 0, "IMAGE"],
        [2, 2, 0, 3, 0, "IMAGE"],
        [3, 3, 0, 4, 0, "IMAGE"]
    ]);
    let converted = prompt(&graph(
        &[image(1), scale(2, 1), scale(3, 2), preview(4, 3)],
        links,
    ));
    assert_eq!(converted["4"]["inputs"]["images"], json!(["1", 0]));
    assert_eq!(converted.as_object().unwrap().len(), 2);
}

#[test]
fn a_bypassed_node_makes_no_second_try() {
    let batch = node(2, "ImageBatch", &[("image2", "IMAGE", 1)], json!([]));
    let links = json!([[1, 1, 0, 2, 1, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]]);
    let converted = prompt(&graph(&[image(1), in_mode(4, batch), preview(3, 2)], links));
    assert_eq!(converted["3"]["inputs"], json!({}));
}

/// A subgraph `box` with an image behind the inputs `width` and `height`, and a preview of it.
fn boxed(host_inputs: Value, host: Value) -> Value {
    let inner = |input: &str, link| json!({ "name": input, "type": "INT", "link": link, "widget": { "name": input } });
    let mut picture = image(4);
    picture["inputs"] = json!([inner("width", 1), inner("height", 2)]);
    let link = |id, origin: i32, from, target: i32, to| {
        json!({
            "id": id, "origin_id": origin, "origin_slot": from,
            "target_id": target, "target_slot": to, "type": "*",
        })
    };
    let mut instance = node(3, "box", &[], json!([]));
    instance["inputs"] = host_inputs;
    if let Value::Object(host) = host {
        for (name, value) in host {
            instance[name] = value;
        }
    }
    json!({
        "nodes": [instance, preview(5, 9), node(6, "PrimitiveInt", &[], json!([33, "fixed"]))],
        "links": [[9, 3, 0, 5, 0, "IMAGE"], [8, 6, 0, 3, 0, "INT"]],
        "definitions": { "subgraphs": [{
            "id": "box", "name": "Box", "nodes": [picture],
            "inputs": [
                { "name": "width", "type": "INT", "linkIds": [1] },
                { "name": "height", "type": "INT", "linkIds": [2] },
            ],
            "outputs": [{ "name": "IMAGE", "type": "IMAGE", "linkIds": [3] }],
            "links": [
                link(1, -10, 0, 4, 0), link(2, -10, 1, 4, 1), link(3, 4, 0, -20, 0),
            ],
        }] },
    })
}

#[test]
fn inner_nodes_are_called_by_their_instance_and_take_its_values() {
    let converted = prompt(&boxed(json!([]), json!({ "widgets_values": [100, 200] })));
    assert_eq!(converted["5"]["inputs"]["images"], json!(["3:4", 0]));
    assert_eq!(converted["3:4"]["inputs"]["width"], 100);
    assert_eq!(converted["3:4"]["inputs"]["height"], 200);
    assert!(converted.get("3").is_none());
}

#[test]
fn a_link_into_an_instance_goes_before_its_value_and_is_found_by_name() {
    let inputs = json!([{ "name": "height", "type": "INT", "link": 8 }]);
    let converted = prompt(&boxed(inputs, json!({ "widgets_values": [100, 200] })));
    assert_eq!(converted["3:4"]["inputs"]["width"], 100);
    assert_eq!(converted["3:4"]["inputs"]["height"], json!(["6", 0]));
}

#[test]
fn an_instance_of_the_older_kind_lists_what_its_values_are_for() {
    let listed = |shown: Value, values: Value| {
        let host = json!({ "properties": { "proxyWidgets": shown }, "widgets_values": values });
        prompt(&boxed(json!([]), host))["3:4"]["inputs"].clone()
    };
    let shown = json!([
        ["-1", "height"],
        ["4", "batch_size"],
        ["4", "width"],
        ["4", "gone"]
    ]);
    let inputs = listed(shown.clone(), json!([7, 5, 6, 1]));
    assert_eq!(
        inputs,
        json!({ "width": 6, "height": 7, "batch_size": 5, "color": 0 })
    );
    let inputs = listed(shown, json!([]));
    assert_eq!(
        inputs,
        json!({ "width": 8, "height": 8, "batch_size": 1, "color": 0 })
    );
}

#[test]
fn an_instance_that_does_not_run_takes_its_nodes_along() {
    for mode in [2, 4] {
        let converted = prompt(&boxed(json!([]), json!({ "mode": mode })));
        let ids: Vec<&String> = converted.as_object().unwrap().keys().collect();
        assert_eq!(ids, ["5", "6"]);
        assert_eq!(converted["5"]["inputs"], json!({}));
    }
}

#[test]
fn subgraphs_may_stand_in_subgraphs_and_ids_are_told_apart() {
    let mut graph = boxed(json!([]), json!({ "type": "outer", "id": 4 }));
    graph["links"][0][1] = json!(4);
    graph["last_node_id"] = json!(40);
    let mut outer = graph["definitions"]["subgraphs"][0].clone();
    outer["id"] = json!("outer");
    outer["nodes"] = json!([{
        "id": 4, "type": "box", "widgets_values": [300, 400],
        "inputs": [{ "name": "width", "type": "INT", "link": 1, "widget": { "name": "width" } }],
    }]);
    let subgraphs = graph["definitions"]["subgraphs"].as_array_mut().unwrap();
    subgraphs.insert(0, outer);
    let converted = prompt(&graph);
    assert_eq!(converted["5"]["inputs"]["images"], json!(["4:41:42", 0]));
    let inner = &converted["4:41:42"]["inputs"];
    assert_eq!(
        (&inner["width"], &inner["height"]),
        (&json!(300), &json!(400))
    );
}

#[test]
fn a_subgraph_without_lists_of_links_is_read_by_the_links() {
    let mut graph = boxed(json!([]), json!({ "widgets_values": [100, 200] }));
    let whole = prompt(&graph);
    let subgraph = &mut graph["definitions"]["subgraphs"][0];
    for list in ["inputs", "outputs"] {
        for slot in subgraph[list].as_array_mut().unwrap() {
            slot.as_object_mut().unwrap().remove("linkIds");
        }
    }
    assert_eq!(prompt(&graph), whole);
}

#[test]
fn titles_are_the_users_or_those_of_the_editor() {
    let mut titled = image(1);
    titled["title"] = json!("Mine");
    let audio = node(2, "LTXVConcatAVLatent", &[], json!([]));
    let converted = prompt(&graph(&[titled, audio, image(3)], json!([])));
    let title = |id: &str| converted[id]["_meta"]["title"].clone();
    assert_eq!(title("1"), "Mine");
    assert_eq!(title("2"), "LTXVConcatAVLatent");
    assert_eq!(title("3"), "Empty Image");
}

#[test]
fn file_names_take_dates_and_values_of_nodes() {
    let save = |prefix: Value| node(1, "SaveImage", &[], json!([prefix]));
    let text = "%date:yyyy%/%EmptyImage.width%_%Big/Title.height%_%nobody.x%_%width%_100%";
    let mut titled = image(3);
    titled["title"] = json!("Big/Title");
    titled["widgets_values"][1] = json!("a:b");
    let converted = as_it_is(&graph(&[save(json!(text)), image(2), titled], json!([])));
    assert_eq!(
        converted["1"]["inputs"]["filename_prefix"],
        "2026/8_a_b_%nobody.x%_%width%_100%"
    );
    let as_is = Options {
        as_is: true,
        ..options()
    };
    let numbered = graph(&[save(json!(5))], json!([]));
    let error = to_api(&numbered, &NodeFacts::bundled(), &as_is).unwrap_err();
    assert_eq!(
        error.to_string(),
        "filename_prefix of node 1 (SaveImage) is a number, it has to be a text"
    );
}

#[test]
fn of_alternatives_in_a_text_the_first_is_taken_and_told() {
    let text = node(
        1,
        "CLIPTextEncode",
        &[],
        json!(["a {red|blue} car // fast"]),
    );
    let converted = convert(&graph(&[text], json!([]))).unwrap();
    let [Note::FirstOfAlternatives { node, input }] = &converted.notes[..] else {
        panic!("{:?}", converted.notes);
    };
    assert_eq!((&*node.id, input.as_str()), ("1", "text"));
    let prompt = converted.workflow.into_json();
    assert_eq!(prompt["1"]["inputs"]["text"], "a red car ");
}

/// What a graph of one node is refused with, and the note in its place where it is wanted as it is.
fn refused(node: Value) -> (String, String) {
    let graph = graph(&[node], json!([]));
    let error = convert(&graph).unwrap_err();
    let as_is = Options {
        as_is: true,
        ..options()
    };
    let notes = to_api(&graph, &NodeFacts::bundled(), &as_is).unwrap().notes;
    (error.to_string(), notes[0].to_string())
}

#[test]
fn values_that_were_saved_for_other_widgets_are_refused_unless_wanted_as_they_are() {
    let shifted = node(1, "KSampler", &[], json!([5, 20, 8, "euler", "normal", 1]));
    let mut named = image(1);
    named["widgets_values"] = json!([8, 9, 16, 1]);
    named["widgets_values_named"] =
        json!({ "width": 8, "depth": 9, "height": 16, "batch_size": 1 });
    let chosen = node(1, "SaveVideo", &[], json!(["v/x", "no such", "h264"]));
    let told: Vec<String> = [shifted, named, chosen]
        .into_iter()
        .map(|node| {
            let (error, note) = refused(node);
            format!("{error}\n  as is: {note}")
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn values_that_only_look_odd_go_through() {
    let mut renamed = image(1);
    renamed["widgets_values"] = json!([8, 9, 1, 0, "more"]);
    renamed["widgets_values_named"] =
        json!({ "width": 99, "height": 9, "batch_size": 1, "color": 0, "depth": "more" });
    for node in [
        // Edited by hand beside their names.
        renamed,
        node(1, "EmptyImage", &[], json!(["{{WIDTH}}", "64", null, 0])),
        node(1, "EmptyImage", &[], json!([8, 8, 100_000, 0])),
        node(1, "LoadImage", &[], json!(["gone.png", "image"])),
        node(1, "CLIPTextEncode", &[], json!(["fixed"])),
        node(
            1,
            "KSampler",
            &[],
            json!([5, true, 7, 2, "no_sampler", "normal", 1]),
        ),
    ] {
        convert(&graph(&[node], json!([]))).unwrap();
    }
}

#[test]
fn an_instance_whose_inner_class_lost_a_widget_is_refused() {
    let mut graph = boxed(json!([]), json!({ "widgets_values": [7, 100, 200] }));
    let subgraph = &mut graph["definitions"]["subgraphs"][0];
    let gone = json!({ "name": "depth", "type": "INT", "link": 7, "widget": { "name": "depth" } });
    let inner = subgraph["nodes"][0]["inputs"].as_array_mut().unwrap();
    inner.insert(0, gone);
    let inputs = subgraph["inputs"].as_array_mut().unwrap();
    inputs.insert(0, json!({ "name": "depth", "type": "INT", "linkIds": [7] }));
    let links = subgraph["links"].as_array_mut().unwrap();
    for link in links.iter_mut().filter(|link| link["origin_id"] == -10) {
        link["origin_slot"] = json!(link["origin_slot"].as_u64().unwrap() + 1);
    }
    links.push(
        json!({ "id": 7, "origin_id": -10, "origin_slot": 0, "target_id": 4, "target_slot": 0 }),
    );
    let error = convert(&graph).unwrap_err();
    insta::assert_snapshot!(
        error,
        @r#"values were saved for other widgets than there are, at node 3 (Box): "width" would get 7, which was saved for "depth"; "height" would get 100, which was saved for "width" (3 values for depth, width, height; there are width, height)"#
    );

    // Behind it stood nothing.
    graph["nodes"][0]["widgets_values"] = json!([7]);
    let subgraph = &mut graph["definitions"]["subgraphs"][0];
    subgraph["inputs"].as_array_mut().unwrap().rotate_left(1);
    for link in subgraph["links"].as_array_mut().unwrap() {
        if link["origin_id"] == -10 {
            link["origin_slot"] = json!((link["origin_slot"].as_u64().unwrap() + 2) % 3);
        }
    }
    graph["nodes"][0]["widgets_values"] = json!([100, 200, 7]);
    let converted = convert(&graph).unwrap();
    let [Note::InputGone { node, input }] = &converted.notes[..] else {
        panic!("{:?}", converted.notes);
    };
    assert_eq!(
        (node.to_string().as_str(), input.as_str()),
        ("node 3:4 (EmptyImage) in \"Box\"", "depth")
    );
    assert_eq!(
        converted.workflow.into_json()["3:4"]["inputs"]["height"],
        200
    );
}

#[test]
fn a_link_from_an_output_that_is_gone_is_refused_unless_wanted_as_it_is() {
    let graph = graph(
        &[image(2), preview(1, 7)],
        json!([[7, 2, 3, 1, 0, "IMAGE"]]),
    );
    let error = convert(&graph).unwrap_err();
    insta::assert_snapshot!(
        error,
        @r#""images" of node 1 (PreviewImage) hangs on output 3 of node 2 (EmptyImage), whose class has output 0 only"#
    );
    let as_is = Options {
        as_is: true,
        ..options()
    };
    let converted = to_api(&graph, &NodeFacts::bundled(), &as_is).unwrap();
    assert!(matches!(converted.notes[..], [Note::NoOutput(_)]));
    assert_eq!(
        converted.workflow.into_json()["1"]["inputs"]["images"],
        json!(["2", 3])
    );
}

#[test]
fn each_version_of_the_editor_has_prompts_of_its_own() {
    let sound = graph(&[node(1, "PreviewAny", &[], json!([]))], json!([]));
    let early = Options {
        editor: Editor::Early,
        ..options()
    };
    let early = |graph: &Value| {
        let converted = to_api(graph, &NodeFacts::bundled(), &early).unwrap();
        converted.workflow.into_json()
    };
    assert_eq!(early(&sound)["1"]["inputs"], json!({ "preview": "" }));
    assert_eq!(prompt(&sound)["1"]["inputs"], json!({}));

    let mut shared = boxed(json!([]), json!({}));
    shared["definitions"]["subgraphs"][0]["nodes"][0]["id"] = json!(5);
    for link in shared["definitions"]["subgraphs"][0]["links"]
        .as_array_mut()
        .unwrap()
    {
        for end in ["origin_id", "target_id"] {
            if link[end] == 4 {
                link[end] = json!(5);
            }
        }
    }
    assert!(early(&shared).get("3:5").is_some());
    assert!(prompt(&shared).get("3:7").is_some());
}

#[test]
fn old_names_of_classes_are_understood_and_gone_ones_named() {
    let old = node(1, "T2IAdapterLoader", &[], json!(["a.pth"]));
    let converted = prompt(&graph(&[old], json!([])));
    assert_eq!(converted["1"]["class_type"], "ControlNetLoader");
    assert_eq!(converted["1"]["inputs"]["control_net_name"], "a.pth");

    let facts = br#"{"BatchImagesNode": {"input": {}, "output": []}}"#;
    let facts = NodeFacts::read(&facts[..]).unwrap();
    let gone = graph(&[node(1, "ImageBatch", &[], json!([]))], json!([]));
    let error = to_api(&gone, &facts, &options()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "node 1 (ImageBatch) is of a class that is gone; BatchImagesNode does its work"
    );
}

#[test]
fn getters_find_their_setters_in_the_graphs_around_them() {
    let mut graph = boxed(json!([]), json!({}));
    graph["nodes"].as_array_mut().unwrap().extend([
        node(20, "SetNode", &[("IMAGE", "IMAGE", 30)], json!(["picture"])),
        image(21),
    ]);
    graph["links"]
        .as_array_mut()
        .unwrap()
        .push(json!([30, 21, 0, 20, 0, "IMAGE"]));
    let inner = &mut graph["definitions"]["subgraphs"][0];
    inner["nodes"].as_array_mut().unwrap().extend([
        node(22, "GetNode", &[], json!(["picture"])),
        preview(23, 31),
    ]);
    inner["links"].as_array_mut().unwrap().push(json!({
        "id": 31, "origin_id": 22, "origin_slot": 0, "target_id": 23, "target_slot": 0,
    }));
    let converted = prompt(&graph);
    assert_eq!(converted["3:23"]["inputs"]["images"], json!(["21", 0]));
    assert!(converted.get("20").is_none() && converted.get("3:22").is_none());
}

#[test]
fn what_can_not_be_converted_is_named_with_what_to_do() {
    let mut titled = node(7, "NoSuchNode", &[], json!([]));
    titled["title"] = json!("My node");
    let reroute = node(1, "Reroute", &[("", "*", 1)], json!(null));
    let circle = |other| graph(&[reroute.clone(), other], json!([[1, 1, 0, 1, 0, "*"]]));
    let mut endless = boxed(json!([]), json!({}));
    endless["definitions"]["subgraphs"][0]["nodes"][0]["type"] = json!("box");
    let cases = [
        json!(5),
        graph(&[json!("x")], json!([])),
        graph(&[json!({ "id": 1 })], json!([])),
        graph(&[json!({ "type": "A" })], json!([])),
        graph(&[], json!([[1, 2]])),
        graph(
            &[titled.clone(), node(8, "NorThisOne", &[], json!([]))],
            json!([]),
        ),
        graph(&[node(9, "workflow>Group", &[], json!([]))], json!([])),
        graph(
            &[node(
                9,
                "70dc8a2b-9f45-4d8f-8b1a-0f2d3c4b5a69",
                &[],
                json!([]),
            )],
            json!([]),
        ),
        graph(&[preview(1, 9)], json!([])),
        graph(&[preview(1, 9)], json!([[9, 77, 0, 1, 0, "IMAGE"]])),
        circle(preview(2, 1)),
        endless,
        graph(
            &[node(4, "GetNode", &[], json!(["x"])), preview(5, 1)],
            json!([[1, 4, 0, 5, 0, "IMAGE"]]),
        ),
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|case| {
            let failure = Failure::from(convert(case).unwrap_err());
            format!("{}\n  -> {}", failure.message, failure.hint.unwrap())
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn unknown_classes_may_be_kept_as_the_frontend_keeps_them() {
    let unknown = node(7, "NoSuchNode", &[("image", "IMAGE", 1)], json!(["a", 2.0]));
    let graph = graph(&[image(1), unknown], json!([[1, 1, 0, 7, 0, "IMAGE"]]));
    let options = Options {
        unknown: Unknown::Keep,
        ..options()
    };
    let converted = to_api(&graph, &NodeFacts::bundled(), &options).unwrap();
    assert_eq!(
        converted.workflow.into_json()["7"],
        json!({
            "inputs": { "UNKNOWN": "a", "UNKNOWN_1": 2, "image": ["1", 0] },
            "_meta": {},
        })
    );
}

#[test]
fn subgraphs_that_multiply_without_end_are_refused_in_time() {
    let level = |at: usize| {
        let nodes: Vec<Value> = (0..10)
            .map(|n| json!({ "id": at * 10 + n + 1, "type": format!("level{}", at + 1) }))
            .collect();
        json!({ "id": format!("level{at}"), "name": "", "nodes": nodes })
    };
    let levels: Vec<Value> = (0..30).map(level).collect();
    let graph = json!({
        "nodes": [{ "id": 1000, "type": "level0" }],
        "definitions": { "subgraphs": levels },
    });
    let error = convert(&graph).unwrap_err();
    assert_eq!(error, UiError::TooManyNodes(100_000));
}
