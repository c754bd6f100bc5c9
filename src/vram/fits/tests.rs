//! What is said of models alone.

use super::*;
use crate::vram::GIB;

fn card(gigabytes: u64) -> Card {
    Card {
        total: gigabytes << 30,
        free: gigabytes << 30,
    }
}

fn asked(name: &str, precision: &str, gigabytes: u64) -> Fits {
    fits(
        &Knowledge::bundled(),
        name,
        precision,
        None,
        Some(card(gigabytes)),
    )
    .unwrap()
}

#[test]
fn what_does_not_fit_whole_has_a_smaller_precision_that_does() {
    let fits = asked("Qwen-Image-2512", "fp16", 24);
    assert_eq!(fits.fit, Fit::Streamed);
    let whole: Vec<Precision> = fits
        .alternatives
        .iter()
        .filter(|one| one.fit == Fit::Whole)
        .map(|one| one.precision)
        .collect();
    assert_eq!(whole, [Precision::Fp8, Precision::Q8, Precision::Q4]);
}

#[test]
fn a_files_name_says_its_precision() {
    let half = asked("flux1-dev.safetensors", "default", 24);
    let quarter = asked("flux1-dev-fp8.safetensors", "default", 24);
    let difference = half.estimated_vram_gb.unwrap() - quarter.estimated_vram_gb.unwrap();
    assert!((difference - 12e9 / GIB).abs() < 0.02, "{difference}");
}

#[test]
fn a_model_that_runs_with_a_cfg_of_1_needs_one_side() {
    let knowledge = Knowledge::bundled();
    let sides = |name: &str| sides(knowledge.identify(name).unwrap().model);
    assert!(sides("flux1-dev.safetensors") < 1.5);
    assert!(sides("sd_xl_base_1.0.safetensors") > 1.5);
}

#[test]
fn of_an_unknown_model_nothing_is_said() {
    let error = fits(&Knowledge::bundled(), "w", "default", None, None).unwrap_err();
    assert!(matches!(error, KnowledgeError::UnknownModel { .. }));
}

#[test]
fn of_an_unknown_file_that_is_there_a_range_is_told() {
    let knowledge = Knowledge::bundled();
    let found = fits(
        &knowledge,
        "mine.safetensors",
        "default",
        Some(40 << 30),
        Some(card(24)),
    )
    .unwrap();
    assert_eq!((found.fit, found.estimated_vram_gb), (Fit::Unknown, None));
    assert!(found.range_gb.unwrap()[0] > 30.0, "{found:?}");
}

#[test]
fn an_installed_file_that_fits_is_named() {
    let mut inventory = Inventory::default();
    for (file, size) in [
        ("flux1-dev.safetensors", 24_000_000_000),
        ("flux1-dev-Q4_0.gguf", 6_800_000_000_u64),
    ] {
        inventory
            .sizes
            .insert(("diffusion_models".to_owned(), file.to_owned()), size);
    }
    let machine = Machine::with_card(Some(card(16)));
    let found = fits_on(
        &Knowledge::bundled(),
        "flux1-dev.safetensors",
        "default",
        &inventory,
        &machine,
    )
    .unwrap();
    assert_eq!(found.fit, Fit::Streamed);
    assert!(
        found
            .recommendation
            .contains("flux1-dev-Q4_0.gguf is installed"),
        "{}",
        found.recommendation
    );
}

#[test]
fn work_that_is_not_known_is_not_taken_for_nothing() {
    for name in [
        "SeedVR2 7B",
        "Ovis-Image",
        "Mage-Flow-Edit-Turbo",
        "ACE-Step 1.5 XL Turbo",
    ] {
        let found = asked(name, "fp16", 16);
        let [low, high] = found.range_gb.unwrap();
        assert_eq!(found.estimated_vram_gb, None, "{found:?}");
        assert!(high > low * 1.2, "{found:?}");
        assert!(found.fit != Fit::Whole || high <= 16.0, "{found:?}");
    }
    assert_eq!(asked("SeedVR2 7B", "fp16", 16).fit, Fit::Unknown);
}

#[test]
fn a_clip_has_the_frames_of_its_model() {
    let at = |name: &str| asked(name, "default", 24).at.unwrap();
    assert!(
        at("LTX-2 19B").ends_with("121 frames"),
        "{}",
        at("LTX-2 19B")
    );
    let frames = Knowledge::bundled().model("LTX-2 19B").unwrap().frames;
    assert_eq!(frames, Some(121));
}

#[test]
fn what_is_done_by_turns_says_what_that_needs() {
    let whole = asked("Qwen-Image-2512", "fp8", 24);
    let need = whole.estimated_vram_gb.unwrap();
    assert_eq!(whole.by_turns_gb, None, "{whole:?}");
    let card = Card {
        total: 24 << 30,
        free: 20 << 30,
    };
    let tight = fits(
        &Knowledge::bundled(),
        "Qwen-Image-2512",
        "fp8",
        None,
        Some(card),
    )
    .unwrap();
    assert_eq!(tight.fit, Fit::Whole);
    let by_turns = tight.by_turns_gb.unwrap();
    assert!(by_turns < need - 0.3, "{tight:?}");
}

#[test]
fn without_a_number_of_parameters_precisions_are_told_by_the_files_size() {
    let knowledge = Knowledge::bundled();
    let of = |size| {
        fits(
            &knowledge,
            "mine.safetensors",
            "default",
            size,
            Some(card(24)),
        )
    };
    let found = of(Some(20 << 30)).unwrap();
    assert_eq!(found.alternatives.len(), 4);
    let mut inventory = Inventory::default();
    inventory.sizes.insert(
        ("diffusion_models".into(), "mine.safetensors".into()),
        20 << 30,
    );
    let low = |precision| {
        let machine = Machine::with_card(Some(card(24)));
        fits_on(
            &knowledge,
            "mine.safetensors",
            precision,
            &inventory,
            &machine,
        )
        .unwrap()
        .range_gb
        .unwrap()[0]
    };
    assert!(
        (low("fp16") - low("fp8") - 9.0).abs() < 0.1,
        "{} {}",
        low("fp16"),
        low("fp8")
    );
}
