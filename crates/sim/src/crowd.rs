//! Simulated people: a device key and a random direction as their face. Two people are far apart with overwhelming
//! probability; two photographs of one person are close.

use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use types::profile::{Matching, Profile};

/// A person with a device.
#[derive(Debug, Clone)]
pub struct Person {
    /// The device's key.
    pub device: SigningKey,
    face: Vec<f64>,
}

/// Makes people; the same seed makes the same people.
pub struct Crowd {
    random: ChaCha20Rng,
    dimensions: usize,
}

impl Crowd {
    /// Starts at `seed`; faces are vectors of `dimensions`.
    pub fn new(seed: u64, dimensions: usize) -> Self {
        Self { random: ChaCha20Rng::seed_from_u64(seed), dimensions }
    }

    /// Somebody new.
    pub fn person(&mut self) -> Person {
        Person { device: self.device(), face: self.direction() }
    }

    /// The same person with another device.
    pub fn double(&mut self, person: &Person) -> Person {
        Person { device: self.device(), face: self.again(person).face }
    }

    /// The same person and device, photographed anew.
    pub fn again(&mut self, person: &Person) -> Person {
        let noise = self.direction();
        let face = unit(person.face.iter().zip(noise).map(|(x, noise)| x + 0.4 * noise).collect());
        Person { device: person.device.clone(), face }
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.random.next_u64() % limit.max(1)
    }

    fn device(&mut self) -> SigningKey {
        let mut key = [0; 32];
        self.random.fill_bytes(&mut key);
        SigningKey::from_bytes(&key)
    }

    fn direction(&mut self) -> Vec<f64> {
        // Sums of uniform numbers are close enough to Gaussian ones for a direction without a preferred axis.
        let random = &mut self.random;
        let mut coordinate = || (0..6).map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX) - 0.5).sum();
        unit((0..self.dimensions).map(|_| coordinate()).collect())
    }
}

impl Person {
    /// The template that a device would make for `profile` (PROTOCOL section 2). Empty for other kinds than embeddings. A profile of more
    /// dimensions is a model that sees more of the face.
    pub fn template(&self, profile: &Profile) -> Vec<u32> {
        let Matching::Embedding(embedding) = &profile.matching else { return Vec::new() };
        let (scale, clamp) = (f64::from(embedding.scale), f64::from(embedding.clamp));
        #[expect(clippy::cast_possible_truncation, reason = "clamped")]
        let quantise = |x: &f64| (x * scale).round().clamp(-clamp, clamp - 1.0) as i32;
        let seen = unit(self.face.iter().copied().cycle().take(embedding.dimensions as usize).collect());
        seen.iter().map(quantise).map(i32::cast_unsigned).collect()
    }
}

fn unit(vector: Vec<f64>) -> Vec<f64> {
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    vector.into_iter().map(|x| x / norm).collect()
}
