use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const GAPS: Gaps = Gaps {
    columns: 60.0,
    bands: 40.0,
    rows: 40.0,
};

fn block(width: f64, height: f64) -> Block {
    Block {
        width,
        height,
        ..Block::default()
    }
}

fn edge(from: usize, to: usize) -> Edge {
    Edge {
        from,
        from_y: 10.0,
        to,
        to_y: 10.0,
    }
}

/// Blocks with bands that their links agree with, and links from earlier ones to later ones.
fn graphs() -> impl Strategy<Value = (Vec<Block>, Vec<Edge>)> {
    (2_usize..40).prop_flat_map(|count| {
        let blocks = proptest::collection::vec((50_u32..400, 30_u32..500, any::<bool>()), count);
        let edges = proptest::collection::vec((0..count, 0..count, 0_u32..30, 0_u32..30), 0..80);
        (blocks, edges, 1_usize..5).prop_map(move |(blocks, edges, bands)| {
            let blocks = blocks.iter().enumerate();
            let blocks = blocks.map(|(at, &(width, height, late))| Block {
                width: f64::from(width),
                height: f64::from(height),
                band: at * bands / count,
                late,
            });
            let edges = edges.iter().filter(|(from, to, ..)| from != to);
            let edges = edges.map(|&(one, other, from_y, to_y)| Edge {
                from: one.min(other),
                from_y: f64::from(from_y),
                to: one.max(other),
                to_y: f64::from(to_y),
            });
            (blocks.collect(), edges.collect())
        })
    })
}

fn corners(blocks: &[Block], edges: &[Edge], gaps: &Gaps) -> Vec<(f64, f64)> {
    lay_out(blocks, edges, gaps).corners
}

fn overlap(one: (&Block, (f64, f64)), other: (&Block, (f64, f64))) -> bool {
    let ((a, (ax, ay)), (b, (bx, by))) = (one, other);
    ax < bx + b.width && bx < ax + a.width && ay < by + b.height && by < ay + a.height
}

proptest! {
    #[test]
    fn no_two_blocks_overlap_and_every_edge_goes_to_the_right((blocks, edges) in graphs()) {
        let places = corners(&blocks, &edges, &GAPS);
        for at in 0..blocks.len() {
            for other in 0..at {
                let (one, two) = ((&blocks[at], places[at]), (&blocks[other], places[other]));
                prop_assert!(!overlap(one, two), "{at} and {other}: {places:?}");
                if blocks[other].band < blocks[at].band {
                    prop_assert!(places[other].0 + blocks[other].width < places[at].0);
                }
            }
        }
        let ways = lay_out(&blocks, &edges, &GAPS).ways;
        for lane in ways.iter().flatten() {
            for (block, (x, y)) in blocks.iter().zip(&places) {
                let beside = lane.right < *x || lane.left > x + block.width;
                let apart = lane.y <= *y || lane.y >= y + block.height;
                prop_assert!(beside || apart, "{lane:?} passes through a block: {places:?}");
            }
        }
        for edge in &edges {
            let right = places[edge.from].0 + blocks[edge.from].width;
            prop_assert!(right < places[edge.to].0, "{edge:?}: {places:?}");
        }
        prop_assert_eq!(corners(&blocks, &edges, &GAPS), places);
    }

    #[test]
    fn circles_have_an_end(edges in proptest::collection::vec((0_usize..8, 0_usize..8), 0..40)) {
        let blocks = [block(100.0, 50.0); 8];
        let edges: Vec<Edge> = edges.into_iter().map(|(from, to)| edge(from, to)).collect();
        let places = corners(&blocks, &edges, &GAPS);
        prop_assert!(places.iter().all(|(x, y)| x.is_finite() && y.is_finite()));
    }
}

#[test]
fn a_chain_is_a_straight_line() {
    let blocks = [block(100.0, 50.0), block(80.0, 90.0), block(100.0, 30.0)];
    let places = corners(&blocks, &[edge(0, 1), edge(1, 2)], &GAPS);
    assert_eq!(places, [(0.0, 0.0), (160.0, 0.0), (300.0, 0.0)]);
}

#[test]
fn links_that_need_not_cross_do_not() {
    // Two pairs, given crosswise.
    let blocks = [block(100.0, 50.0); 4];
    let places = corners(&blocks, &[edge(0, 3), edge(1, 2)], &GAPS);
    assert_eq!(places[0].1 < places[1].1, places[3].1 < places[2].1);
}

#[test]
fn a_late_block_stands_just_before_what_needs_it() {
    let mut blocks = [block(100.0, 50.0); 4];
    blocks[3].late = true;
    let edges = [edge(0, 1), edge(1, 2), edge(3, 2)];
    let places = corners(&blocks, &edges, &GAPS);
    assert!((places[3].0 - places[1].0).abs() < 0.5, "{places:?}");
}

#[test]
fn five_hundred_blocks_take_no_time_to_speak_of() {
    let blocks = vec![block(200.0, 100.0); 500];
    // A long chain with side branches, and links from the start to everywhere.
    let edges: Vec<Edge> = (1..500)
        .flat_map(|at| [edge(at * 7 / 8, at), edge(at / 3, at), edge(0, at)])
        .filter(|edge| edge.from != edge.to)
        .collect();
    let took = (0..3)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(corners(&blocks, &edges, &GAPS).len(), 500);
            start.elapsed()
        })
        .min();
    eprintln!("500 blocks took {took:?}");
    // Generous: this is a debug build on a machine that may have other things to do.
    assert!(took < Some(Duration::from_secs(1)), "{took:?}");
}
