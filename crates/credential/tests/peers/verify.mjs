// Judges exhibits of BBS with the npm package @digitalbazaar/bbs-signatures: `node verify.mjs NODE_MODULES EXHIBITS`.
// Prints one JSON object, from the name of each exhibit to the verdict. Reasons of refusals go to standard error.
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';

const [modules, exhibits] = process.argv.slice(2);
const load = path => import(pathToFileURL(join(modules, '@digitalbazaar/bbs-signatures/lib', path)));
const {generateKeyPair, verifyProof, verifySignature} = await load('index.js');
// The plain operations under an interface of one's own are not exported by name.
const {CoreProofVerify, CoreVerify} = await load('bbs/core.js');
const {concatGenerators, create_generators, messages_to_scalars} = await load('bbs/util.js');
const {CIPHERSUITES} = await load('bbs/ciphersuites.js');

const ciphersuite = CIPHERSUITES.BLS12381_SHA256;
const bytes = hex => Uint8Array.from(Buffer.from(hex, 'hex'));
const text = string => new TextEncoder().encode(string);

// The interface of blind signatures with pseudonyms: generators for the known messages, then the blind ones.
const api_id = text('BBS_BLS12381G1_XMD:SHA-256_SSWU_RO_H2G_HM2S_PSEUDONYM_');
const blind_api_id = text('BLIND_BBS_BLS12381G1_XMD:SHA-256_SSWU_RO_H2G_HM2S_PSEUDONYM_');
function generators(known, committed) {
  const all = create_generators({count: known + 1, api_id, ciphersuite});
  const blind = create_generators({count: committed + 1, api_id: blind_api_id, ciphersuite});
  return concatGenerators(all, blind);
}
const scalars = messages => messages_to_scalars({messages: messages.map(bytes), api_id, ciphersuite});

const judges = {
  async key({seed, publicKey}) {
    const pair = await generateKeyPair({seed: bytes(seed), ciphersuite: ciphersuite.name});
    return Buffer.from(pair.publicKey).toString('hex') === publicKey;
  },
  signature: ({publicKey, signature, header, messages}) => verifySignature({
    publicKey: bytes(publicKey), signature: bytes(signature), header: bytes(header), messages: messages.map(bytes),
    ciphersuite: ciphersuite.name
  }),
  proof: ({publicKey, proof, header, presentationHeader, disclosed, positions}) => verifyProof({
    publicKey: bytes(publicKey), proof: bytes(proof), header: bytes(header), presentationHeader: bytes(presentationHeader),
    disclosedMessages: disclosed.map(bytes), disclosedMessageIndexes: positions, ciphersuite: ciphersuite.name
  }),
  credential: ({publicKey, signature, header, messages, secrets}) => CoreVerify({
    PK: bytes(publicKey), signature: bytes(signature), header: bytes(header), generators: generators(messages.length, 1),
    messages: scalars(messages).concat(secrets.map(hex => BigInt('0x' + hex))), api_id, ciphersuite
  }),
  credentialProof: ({publicKey, proof, header, presentationHeader, known, disclosed, positions}) => CoreProofVerify({
    PK: bytes(publicKey), proof: bytes(proof), header: bytes(header), ph: bytes(presentationHeader),
    generators: generators(known, 1), disclosed_messages: scalars(disclosed), disclosed_indexes: positions, api_id, ciphersuite
  })
};

const verdicts = {};
for(const exhibit of JSON.parse(readFileSync(exhibits, 'utf8'))) {
  try {
    verdicts[exhibit.name] = await judges[exhibit.kind](exhibit);
  } catch(error) {
    console.error(`${exhibit.name}: ${error.message}`);
    verdicts[exhibit.name] = false;
  }
}
console.log(JSON.stringify(verdicts));
