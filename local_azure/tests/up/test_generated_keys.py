"""Keys are made once per data folder, are private, and have the shapes the services hand out."""

import base64
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local_azure.up.data_folder import DataFolder
from local_azure.up.generated_keys import load_or_make_keys


def _folder(path):
    path.mkdir(exist_ok=True)
    return DataFolder(path)


def test_keys_stay_the_same_for_a_folder_and_differ_between_folders(tmp_path):
    first = load_or_make_keys(_folder(tmp_path / "a"))
    again = load_or_make_keys(_folder(tmp_path / "a"))
    other = load_or_make_keys(_folder(tmp_path / "b"))

    assert again == first
    assert set(first.values()) & set(other.values()) == {first["DATA_KEYS_PROVIDER"]}


def test_only_the_owner_can_read_them(tmp_path):
    keys = load_or_make_keys(_folder(tmp_path / "a"))

    files = [tmp_path / "a" / "settings.json", tmp_path / "a" / "keys" / "sendgrid_receipts.pem"]
    files.append(tmp_path / "a" / "keys" / "data_keys.json")
    assert keys["SENDGRID_RECEIPT_PRIVATE_KEY_FILE"] == str(files[1])
    assert keys["DATA_KEYS_FILE"] == str(files[2])
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 3


def test_the_receipt_keys_are_a_pair(tmp_path):
    keys = load_or_make_keys(_folder(tmp_path / "a"))
    pem = (tmp_path / "a" / "keys" / "sendgrid_receipts.pem").read_bytes()
    private_key = serialization.load_pem_private_key(pem, password=None)
    public_key = serialization.load_der_public_key(base64.b64decode(keys["SENDGRID_RECEIPT_PUBLIC_KEY"]))

    signature = private_key.sign(b"receipt", ec.ECDSA(hashes.SHA256()))

    public_key.verify(signature, b"receipt", ec.ECDSA(hashes.SHA256()))


def test_shapes(tmp_path):
    keys = load_or_make_keys(_folder(tmp_path / "a"))

    assert len(base64.b64decode(keys["COSMOS_KEY"])) == 64
    assert len(base64.b64decode(keys["CALLBACK_SECRETS_KEY"])) == 32
    assert len(base64.b64decode(keys["WEBHOOK_SIGNING_SECRET"].removeprefix("whsec_"))) == 32
    assert keys["TWILIO_ACCOUNT_SID"].startswith("AC")
    assert len(keys["TWILIO_ACCOUNT_SID"]) == 34


def test_a_key_missing_from_an_older_folder_is_added(tmp_path):
    folder = _folder(tmp_path / "a")
    before = load_or_make_keys(folder)
    folder.settings_file.write_text(json.dumps({k: v for k, v in before.items() if k != "BUCKET_SECRET"}))

    after = load_or_make_keys(folder)

    assert after["BUCKET_SECRET"] != before["BUCKET_SECRET"]
    assert {**after, "BUCKET_SECRET": ""} == {**before, "BUCKET_SECRET": ""}
