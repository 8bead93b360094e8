//! The Galois ring `R = Z_{2^16}[w]/(w^2 + w + 1)` and the stored form of shares: degree-1 Shamir at the points 1, w, 1 + w
//! (PROTOCOL section 1).
//!
//! R is the smallest extension of Z_{2^16} with four points whose differences are units {0, 1, w, 1 + w}, which is what
//! Shamir sharing among three nodes needs. Two coordinates are packed into one element, so a share is as long as the vector.
//! Out of scope: where the values come from (`record`).

use types::NodeId;

/// a + b w.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Element {
    a: u16,
    b: u16,
}

impl Element {
    const ONE: Self = Self::new(1, 0);

    const fn new(a: u16, b: u16) -> Self {
        Self { a, b }
    }
    /// Multiplication by this element, as a matrix on (a, b): rows give the new a and b.
    const fn matrix(self) -> Matrix {
        [[self.a, 0u16.wrapping_sub(self.b)], [self.b, self.a.wrapping_sub(self.b)]]
    }
    #[cfg(test)]
    const fn add(self, other: Self) -> Self {
        Self::new(self.a.wrapping_add(other.a), self.b.wrapping_add(other.b))
    }
    const fn sub(self, other: Self) -> Self {
        Self::new(self.a.wrapping_sub(other.a), self.b.wrapping_sub(other.b))
    }
    /// (a + b w)(c + d w) = (ac - bd) + (ad + bc - bd) w, as w^2 = -w - 1.
    const fn mul(self, other: Self) -> Self {
        let (ac, bd) = (self.a.wrapping_mul(other.a), self.b.wrapping_mul(other.b));
        let cross = self.a.wrapping_mul(other.b).wrapping_add(self.b.wrapping_mul(other.a));
        Self::new(ac.wrapping_sub(bd), cross.wrapping_sub(bd))
    }
    /// The inverse of a unit: conjugate over norm. An element is a unit when its norm a^2 - ab + b^2 is odd.
    const fn inverse(self) -> Self {
        let (a, b) = (self.a, self.b);
        let norm = a.wrapping_mul(a).wrapping_sub(a.wrapping_mul(b)).wrapping_add(b.wrapping_mul(b));
        // Newton's iteration doubles the correct low bits; an odd number is its own inverse mod 8.
        let mut inverse = norm;
        let mut bits = 3;
        while bits < 16 {
            inverse = inverse.wrapping_mul(2u16.wrapping_sub(norm.wrapping_mul(inverse)));
            bits *= 2;
        }
        let conjugate = Self::new(a.wrapping_sub(b), 0u16.wrapping_sub(b));
        conjugate.mul(Self::new(inverse, 0))
    }
}

/// The evaluation point of `node`.
const fn point(node: usize) -> Element {
    match node {
        0 => Element::new(1, 0),
        1 => Element::new(0, 1),
        _ => Element::new(1, 1),
    }
}

/// A linear map of coordinate pairs, as its matrix.
type Matrix = [[u16; 2]; 2];

/// The linear map with which a node turns its two additive components into its Shamir share, pair by pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conversion {
    own: Matrix,
    next: Matrix,
}

impl Conversion {
    /// For records: the pair (a, b) is packed as a + b w.
    pub(crate) fn record(node: NodeId) -> Self {
        let [own, next] = shamir(node);
        Self { own: own.matrix(), next: next.matrix() }
    }
    /// For probes: the pair (c, d) is packed as c - d w, so that the constant coefficient of (a + b w)(c - d w) is ac + bd; the
    /// share u0 + u1 w, times the Lagrange coefficient of the node, is laid out as (u0, -u1), so that a plain dot product of
    /// the two layouts is the constant coefficient of the ring product.
    pub(crate) fn probe(node: NodeId) -> Self {
        let [own, next] = shamir(node).map(|f| {
            let [[aa, ab], [ba, bb]] = f.mul(lagrange(node)).matrix();
            [[aa, ab.wrapping_neg()], [ba.wrapping_neg(), bb]]
        });
        Self { own, next }
    }
    /// Appends the shares of all pairs of coordinates.
    pub(crate) fn append(&self, own: &[u16], next: &[u16], out: &mut Vec<u16>) {
        let map = |m: &Matrix, [a, b]: [u16; 2]| m.map(|[x, y]| a.wrapping_mul(x).wrapping_add(b.wrapping_mul(y)));
        out.extend(own.as_chunks::<2>().0.iter().zip(next.as_chunks::<2>().0).flat_map(|(own, next)| {
            let ([a, b], [c, d]) = (map(&self.own, *own), map(&self.next, *next));
            [a.wrapping_add(c), b.wrapping_add(d)]
        }));
    }
}

/// A linear map of packed pairs of a record: multiplication by one element of the ring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factor(Matrix);

impl Factor {
    /// By the evaluation point of `node`: what a refresh adds to its share is the polynomial r X there.
    pub(crate) fn point(node: NodeId) -> Self {
        Self(point(node.index()).matrix())
    }
    /// By l_a(a_t), with which the share of node a enters that of the lost node t, when the third node is the other helper:
    /// the polynomial of degree 1 through both, at the point of t.
    pub(crate) fn rebuild(helper: NodeId, lost: NodeId) -> Self {
        let other = if helper.next() == lost { helper.prev() } else { helper.next() };
        let [here, there, target] = [helper, other, lost].map(|node| point(node.index()));
        Self(target.sub(there).mul(here.sub(there).inverse()).matrix())
    }
    /// Adds the product of each pair of `other` to the pair of `values` in its place.
    pub(crate) fn add_to(&self, values: &mut [u16], other: &[u16]) {
        let [[aa, ab], [ba, bb]] = self.0;
        for ([a, b], [c, d]) in values.as_chunks_mut::<2>().0.iter_mut().zip(other.as_chunks::<2>().0) {
            *a = a.wrapping_add(aa.wrapping_mul(*c)).wrapping_add(ab.wrapping_mul(*d));
            *b = b.wrapping_add(ba.wrapping_mul(*c)).wrapping_add(bb.wrapping_mul(*d));
        }
    }
}

/// f_i(a_i) and f_{i+1}(a_i) of node i: its share is Y_i = x_i f_i(a_i) + x_{i+1} f_{i+1}(a_i), where f_j(X) = 1 - X / a_{e(j)}
/// is 1 at 0 and 0 at the point of e(j), the node that lacks x_j.
fn shamir(node: NodeId) -> [Element; 2] {
    let here = point(node.index());
    // x_j is held by nodes j and j - 1, so j + 1 lacks it: x_i is lacking at i + 1, x_{i+1} at i + 2.
    [node.next(), node.prev()].map(|lacking| Element::ONE.sub(here.mul(point(lacking.index()).inverse())))
}

/// What two nodes' shares of a vector give together: the polynomial of degree 1 through both, at 0.
#[cfg(test)]
pub(crate) fn combine(one: (NodeId, &[u16]), other: (NodeId, &[u16])) -> Vec<u16> {
    let (p, q) = (point(one.0.index()), point(other.0.index()));
    let at = |p: Element, q: Element| Factor(q.mul(q.sub(p).inverse()).matrix());
    let mut sum = vec![0; one.1.len()];
    at(p, q).add_to(&mut sum, one.1);
    at(q, p).add_to(&mut sum, other.1);
    sum
}

/// The Lagrange coefficient of `node` at 0 for polynomials of degree 2 through all three points.
fn lagrange(node: NodeId) -> Element {
    let here = point(node.index());
    let mut coefficient = Element::ONE;
    for other in [node.next(), node.prev()] {
        let there = point(other.index());
        coefficient = coefficient.mul(there).mul(there.sub(here).inverse());
    }
    coefficient
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element() -> impl Strategy<Value = Element> {
        (any::<u16>(), any::<u16>()).prop_map(|(a, b)| Element::new(a, b))
    }

    /// Shares of `x` with components `x1`, `x2`, x - x1 - x2.
    fn shares(x: Element, x1: Element, x2: Element) -> [Element; 3] {
        let components = [x1, x2, x.sub(x1).sub(x2)];
        NodeId::ALL.map(|n| {
            let [own, next] = shamir(n);
            own.mul(components[n.index()]).add(next.mul(components[n.next().index()]))
        })
    }

    #[test]
    fn differences_of_points_are_units() {
        let points = [Element::new(0, 0), point(0), point(1), point(2)];
        for (i, p) in points.iter().enumerate() {
            for q in &points[i + 1..] {
                let d = p.sub(*q);
                assert_eq!(d.mul(d.inverse()), Element::ONE);
            }
        }
    }

    proptest! {
        #[test]
        fn a_matrix_multiplies(x in element(), y in element()) {
            let [[a, b], [c, d]] = x.matrix();
            let row = |p: u16, q: u16| p.wrapping_mul(y.a).wrapping_add(q.wrapping_mul(y.b));
            prop_assert_eq!(Element::new(row(a, b), row(c, d)), x.mul(y));
        }

        #[test]
        fn every_two_shares_give_the_secret(x in element(), x1 in element(), x2 in element()) {
            let y = shares(x, x1, x2);
            for i in 0..3 {
                let j = (i + 1) % 3;
                let (p, q) = (point(i), point(j));
                // Degree 1 through two points, at 0.
                let at = |p: Element, q: Element| q.mul(q.sub(p).inverse());
                prop_assert_eq!(y[i].mul(at(p, q)).add(y[j].mul(at(q, p))), x);
            }
        }

        #[test]
        fn products_of_shares_give_the_product(
            x in element(), x1 in element(), x2 in element(), y in element(), y1 in element(), y2 in element(),
        ) {
            let (xs, ys) = (shares(x, x1, x2), shares(y, y1, y2));
            let sum = NodeId::ALL
                .map(|n| lagrange(n).mul(xs[n.index()]).mul(ys[n.index()]))
                .into_iter()
                .fold(Element::new(0, 0), Element::add);
            prop_assert_eq!(sum, x.mul(y));
        }
    }
}
