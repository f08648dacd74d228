"""Pictures with content credentials, signed with a certificate made for the test."""

import datetime
from functools import cache
from io import BytesIO
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CAPTURED = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def signed(picture: bytes, source_type: str = GENERATED, remote: str | None = None, agent: str = "Dream") -> bytes:
    """A JPEG with a manifest, in it or, with `remote`, only an address of one."""
    certificates, key = _identity()
    signer = c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(alg=b"es256", sign_cert=certificates, private_key=key, ta_url=None)
    )
    target = BytesIO()
    with c2pa.Builder(_manifest(source_type, agent)) as builder:
        if remote:
            builder.set_no_embed()
            builder.set_remote_url(remote)
        builder.sign(signer, "image/jpeg", BytesIO(picture), target)
    return target.getvalue()


def _manifest(source_type: str, agent: str) -> dict[str, Any]:
    action = {"action": "c2pa.created", "digitalSourceType": source_type, "softwareAgent": {"name": agent}}
    return {
        "claim_generator_info": [{"name": "Test Camera", "version": "1.0"}],
        "title": "test.jpg",
        "format": "image/jpeg",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }


def signed_with_a_certificate_that_ran_out(picture: bytes) -> bytes:
    """A JPEG whose signature fits, by a certificate that ended ten days ago; no time of signing was confirmed.

    The library refuses to sign with such a certificate. It signs with one that is as long and still good, and the old
    one takes its place in what is signed and in the file.
    """
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate(_name("Test Root"), _name("Test Root"), root_key, root_key, authority=True)
    good = old = _newsroom(key, root_key, 0)
    while old == good or len(_der(old)) != len(_der(good)):  # a signature's length varies by a byte or two
        old = _newsroom(key, root_key, 40)

    def sign(data: bytes) -> bytes:
        signature = key.sign(data.replace(_der(good), _der(old)), ec.ECDSA(hashes.SHA256()))
        return b"".join(number.to_bytes(32, "big") for number in utils.decode_dss_signature(signature))

    pem = serialization.Encoding.PEM
    certificates = (good.public_bytes(pem) + root.public_bytes(pem)).decode()
    signer = c2pa.Signer.from_callback(sign, c2pa.C2paSigningAlg.ES256, certificates)
    target = BytesIO()
    unchecked = {"verify": {"verify_after_sign": False}}
    with (
        c2pa.Settings.from_dict(unchecked) as settings,
        c2pa.Context(settings) as context,
        c2pa.Builder(_manifest(GENERATED, "Dream"), context=context) as builder,
    ):
        builder.sign(signer, "image/jpeg", BytesIO(picture), target)
    return target.getvalue().replace(_der(good), _der(old))


def _newsroom(key: ec.EllipticCurvePrivateKey, root_key: ec.EllipticCurvePrivateKey, age: int) -> x509.Certificate:
    return _certificate(_name("Test Newsroom"), _name("Test Root"), key, root_key, authority=False, age=age)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


@cache
def _identity() -> tuple[bytes, bytes]:
    """Certificates, the signer's first, and the signer's key, as PEM."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = _name("Test Root"), _name("Test Newsroom")
    root = _certificate(root_name, root_name, root_key, root_key, authority=True)
    own = _certificate(name, root_name, key, root_key, authority=False)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return own.public_bytes(pem) + root.public_bytes(pem), secret


def _name(text: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, text), x509.NameAttribute(NameOID.ORGANIZATION_NAME, text)]
    )


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    authority: bool,
    age: int = 0,
) -> x509.Certificate:
    """Good for 30 days from `age` days ago on."""
    now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=age)
    usage = x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(authority, None), True)
        .add_extension(usage, True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )
    if not authority:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    return made.sign(issuer_key, hashes.SHA256())
