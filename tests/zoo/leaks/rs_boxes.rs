//! Rust: forgotten boxes, an Rc cycle, and what statics, threads and collections hold. (A HashMap points to the control bytes in the middle of its table.)
// expect: definite 3 blocks 300 bytes forgotten
// expect: definite 1 blocks 56 bytes node
// expect: indirect 1 blocks 56 bytes node
// expect: possible ? blocks ? bytes hold
// expect: definite 1 blocks 400 bytes hold
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::{Mutex, OnceLock};

static TABLE: OnceLock<Mutex<HashMap<String, Vec<u64>>>> = OnceLock::new();
static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());
thread_local!(static LOCAL: RefCell<BTreeMap<u32, Box<u64>>> = const { RefCell::new(BTreeMap::new()) });

struct Node {
    next: RefCell<Option<Rc<Node>>>,
    _value: [u64; 3],
}

#[inline(never)]
#[no_mangle]
fn forgotten() {
    std::mem::forget(std::hint::black_box(Box::new([7u8; 100])));
}

#[inline(never)]
#[no_mangle]
fn node() -> Rc<Node> {
    Rc::new(Node { next: RefCell::new(None), _value: [1; 3] })
}

#[inline(never)]
#[no_mangle]
fn cycle() {
    let (a, b) = (node(), node());
    *a.next.borrow_mut() = Some(b.clone());
    *b.next.borrow_mut() = Some(a.clone());
}

#[inline(never)]
fn hold() {
    let table = TABLE.get_or_init(|| Mutex::new(HashMap::new()));
    for i in 0..200u64 {
        table.lock().unwrap().insert(format!("key number {i}"), vec![i; 10]);
        NAMES.lock().unwrap().push(format!("name number {i}"));
        LOCAL.with(|l| l.borrow_mut().insert(i as u32, Box::new(i)));
    }
    let leaked: &'static mut [u64] = std::hint::black_box(Box::leak(vec![1u64; 50].into_boxed_slice()));
    NAMES.lock().unwrap().push(format!("{}", leaked.len()));
    std::thread::spawn(|| LOCAL.with(|l| l.borrow_mut().insert(1, Box::new(2)))).join().unwrap();
}

#[inline(never)]
fn scrub() {
    std::hint::black_box([0u8; 65536]);
}

fn main() {
    hold();
    for _ in 0..3 {
        forgotten();
    }
    cycle();
    scrub();
}
