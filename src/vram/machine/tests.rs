//! What servers say of themselves.

use super::*;
use serde_json::json;

fn stats(devices: Vec<Device>, argv: &[&str], os: &str, torch: &str) -> SystemStats {
    SystemStats {
        comfyui_version: "0.33.0".into(),
        os: os.into(),
        python_version: String::new(),
        pytorch_version: torch.into(),
        ram_total: 64 << 30,
        ram_free: 32 << 30,
        devices,
        raw: json!({ "system": { "argv": argv } }),
    }
}

fn device(kind: &str, name: &str, index: i64, gigabytes: u64) -> Device {
    Device {
        name: name.into(),
        kind: kind.into(),
        index: Some(index),
        vram_total: gigabytes << 30,
        vram_free: gigabytes << 29,
        torch_vram_total: 2 << 30,
        torch_vram_free: 1 << 30,
    }
}

#[test]
fn what_the_server_holds_itself_is_free_to_it() {
    let stats = stats(
        vec![device("cuda", "NVIDIA", 0, 24)],
        &[],
        "linux",
        "2.12.0+cu130",
    );
    let machine = Machine::of(&stats);
    assert_eq!(
        machine.card,
        Some(Card {
            total: 24 << 30,
            free: 13 << 30
        })
    );
    assert_eq!(machine.idle, Some(12.0 * GIB));
    assert_eq!(
        (machine.kind, machine.attention),
        (Kind::Cuda, Attention::Efficient)
    );
    assert_eq!(held_now(&stats), Some(1 << 30));
}

#[test]
fn of_several_cards_the_named_one_counts_else_the_largest() {
    let cards = || {
        vec![
            device("cuda", "a", 0, 8),
            device("cuda", "b", 1, 24),
            device("cpu", "cpu", 0, 128),
        ]
    };
    let of = |argv: &[&str]| {
        Machine::of(&stats(cards(), argv, "linux", ""))
            .card
            .unwrap()
            .total
            >> 30
    };
    assert_eq!(of(&[]), 24);
    assert_eq!(of(&["main.py", "--default-device", "0"]), 8);
    assert_eq!(of(&["--default-device=1"]), 24);
}

#[test]
fn each_kind_of_device_has_its_own_numbers_and_attention() {
    let of = |kind: &str, name: &str, torch: &str, argv: &[&str]| {
        Machine::of(&stats(
            vec![device(kind, name, 0, 16)],
            argv,
            "linux",
            torch,
        ))
    };
    let amd = of(
        "cuda",
        "cuda:0 AMD Radeon RX 7900 XTX : native",
        "2.9.0+rocm6.4",
        &[],
    );
    assert_eq!(
        (amd.kind, amd.attention, amd.attention_guessed),
        (Kind::Rocm, Attention::Efficient, true)
    );
    assert!(amd.workshop().amd);
    let old = of("cuda", "AMD Radeon RX 6800", "2.9.0+rocm6.4", &[]);
    assert_eq!(old.attention, Attention::Plain);
    let mps = of("mps", "mps", "2.9.0", &[]);
    assert_eq!(
        (mps.kind, mps.attention, mps.numbers.vae),
        (Kind::Mps, Attention::Plain, 2.0)
    );
    let xpu = of("xpu", "xpu:0 Intel(R) Arc(TM) A770", "2.9.0+xpu", &[]);
    assert_eq!((xpu.kind, xpu.attention), (Kind::Xpu, Attention::Efficient));
    let cpu = of("cpu", "cpu", "2.9.0+cpu", &[]);
    assert_eq!((cpu.kind, cpu.attention), (Kind::Cpu, Attention::Plain));
    assert_eq!(
        (cpu.numbers.model, cpu.numbers.text, cpu.numbers.vae),
        (4.0, 2.0, 4.0)
    );
    for kind in ["cpu", "mps", "privateuseone"] {
        let held = held_now(&stats(vec![device(kind, kind, 0, 16)], &[], "posix", ""));
        assert_eq!(held, None, "{kind}: only the whole machine's use is told");
    }
    let split = of(
        "cuda",
        "NVIDIA",
        "",
        &["--use-split-cross-attention", "--fp32-vae"],
    );
    assert_eq!(
        (split.attention, split.numbers.vae),
        (Attention::Plain, 4.0)
    );
}

#[test]
fn what_is_kept_free_follows_the_system_and_the_command_line() {
    let of = |os: &str, argv: &[&str]| {
        Machine::of(&stats(vec![device("cuda", "NVIDIA", 0, 24)], argv, os, "")).reserved
            / 1_048_576.0
    };
    assert_eq!(of("linux", &[]), 400.0);
    assert_eq!(of("win32", &[]), 700.0);
    assert_eq!(of("nt", &["--reserve-vram", "2"]), 2048.0);
}

#[test]
fn the_version_says_whose_figures_count() {
    for (version, expected) in [
        ("0.3.75", Edition::Early),
        ("0.4.0", Edition::Late),
        ("", Edition::Late),
    ] {
        assert_eq!(edition(version), expected, "{version}");
    }
}

#[test]
fn a_device_that_tells_a_constant_has_no_known_memory() {
    let told = stats(
        vec![device("privateuseone", "DirectML", 0, 1)],
        &[],
        "nt",
        "2.4.1",
    );
    let machine = Machine::of(&told);
    assert_eq!((machine.card, machine.kind), (None, Kind::Other));
    assert_eq!(machine.ram, Some((64.0 * GIB, 32.0 * GIB)));
}
