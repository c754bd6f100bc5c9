//! `mmf script docs` and `definitions`: what authors read, in pages and in their editor.

use std::collections::BTreeSet;
use std::fs;

use crate::support::mmf::Home;

const OWN: &str = "title(\"Mine <b>\");\nabout(\"A | B\");\nparam(\"WIDTH\", \"int\", #{ value: 64, \
                   about: \"Pixels\" });\nfn build(p) { let g = workflow(); g.node(\"EmptyImage\", #{ \
                   width: p.WIDTH }); throw #{ code: \"NOT_NOW\", message: \"no\" }; }\n";

#[tokio::test]
async fn the_pages_have_every_binding_every_script_and_ones_own() {
    let home = Home::new();
    home.write(".mmf/templates/mine.rhai", OWN);
    let text = home.mmf(["script", "docs"]).run().await.exits(0).stdout;
    for said in [
        "# How to write a script",
        "## comfy::run",
        "workflow.node(class_type: string, inputs: map) -> node",
        "## best_of",
        "- `lists::page(all, p)`",
        "## mine",
        "mmf run mine",
        "| `WIDTH` | a whole number | `64` | Pixels |",
        "Throws of its own: `NOT_NOW`.",
    ] {
        assert!(text.contains(said), "{said}");
    }
}

/// What a page leads to.
fn links(html: &str) -> BTreeSet<String> {
    let links = html.split("href=\"").skip(1);
    links
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_site_stands_by_itself_and_none_of_its_links_is_broken() {
    let home = Home::new();
    home.write(".mmf/templates/mine.rhai", OWN);
    let ran = home
        .mmf(["script", "docs", "--html", "site"])
        .run()
        .await
        .exits(0);
    let site = home.project().join("site");
    assert_eq!(ran.stdout.trim(), "site/index.html");
    let mut pages = 0;
    for page in fs::read_dir(&site).unwrap() {
        let page = page.unwrap().path();
        let html = fs::read_to_string(&page).unwrap();
        pages += 1;
        for link in links(&html) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let anchor = format!("id=\"{anchor}\"");
            assert!(file.is_empty() || site.join(file).is_file(), "{link}");
            assert!(!file.is_empty() || html.contains(&anchor), "{link}");
        }
        let elsewhere = html.contains("src=") || html.contains("href=\"http");
        assert!(!elsewhere, "{}", page.display());
    }
    assert!(pages > 15, "{pages}");
    let templates = fs::read_to_string(site.join("templates.html")).unwrap();
    assert!(templates.contains("<strong>Mine &lt;b&gt;</strong>"));

    let again = home.mmf(["script", "docs", "--html", "site"]).run().await;
    assert!(again.exits(0).stderr.starts_with("0 files written"));
}

#[tokio::test]
async fn editors_get_definitions_and_are_told_where_they_are() {
    let home = Home::new();
    home.write(".mmf/config.toml", "");
    home.mmf(["script", "definitions"]).run().await.exits(0);
    let folder = home.project().join(".mmf/definitions");
    let comfy = fs::read_to_string(folder.join("comfy.d.rhai")).unwrap();
    assert!(comfy.starts_with("module comfy;") && comfy.contains("fn cancel(prompt_id: String)"));
    assert!(folder.join("__builtin__.d.rhai").is_file());
    let settings = home.project().join("Rhai.toml");
    let told: toml::Table = fs::read_to_string(&settings).unwrap().parse().unwrap();
    assert_eq!(
        told["source"]["include"].as_array().unwrap(),
        &[
            toml::Value::from(".mmf/**/*.rhai"),
            ".mmf/definitions/*.d.rhai".into()
        ]
    );

    let listed = home.mmf(["script", "list"]).run().await.exits(0).stdout;
    assert!(!listed.contains(".d"), "definitions are no scripts");
    fs::write(&settings, "# mine").unwrap();
    home.mmf(["script", "definitions"]).run().await.exits(0);
    assert_eq!(fs::read_to_string(&settings).unwrap(), "# mine");
}

#[tokio::test]
async fn definitions_of_another_version_are_named() {
    let home = Home::new();
    home.mmf(["script", "definitions", "defs"])
        .run()
        .await
        .exits(0);
    let check = || home.mmf(["script", "definitions", "defs", "--check"]);
    assert_eq!(check().run().await.exits(0).stdout, "");
    home.write("defs/comfy.d.rhai", "module comfy;\n");
    assert_eq!(check().run().await.exits(1).stdout, "defs/comfy.d.rhai\n");
}

/// What is checked in of the definitions changes only together with what is registered.
#[tokio::test]
async fn all_that_scripts_can_call_is_this() {
    let home = Home::new();
    home.mmf(["script", "definitions", "defs"])
        .run()
        .await
        .exits(0);
    let mut files: Vec<_> = fs::read_dir(home.project().join("defs"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|file| {
            !file
                .file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("__")
        })
        .collect();
    files.sort();
    let declared = files.iter().map(|file| {
        let text = fs::read_to_string(file).unwrap();
        let lines = text.lines();
        let declared = lines.filter(|line| !line.is_empty() && !line.starts_with("///"));
        declared.collect::<Vec<_>>().join("\n")
    });
    insta::assert_snapshot!(declared.collect::<Vec<_>>().join("\n\n"));
}
