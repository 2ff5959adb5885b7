"""Where a message goes: addresses and numbers, checked and in one form."""

import phonenumbers
from email_validator import EmailNotValidError, validate_email

MAX_EMAIL_CHARS = 254


def email_address(text: str) -> str:
    """Return an address in its normal form; the name alone, without a display name.

    Raises:
        ValueError: it is none.
    """
    try:
        found = validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError:
        raise ValueError("this is not an e-mail address") from None
    if len(found) > MAX_EMAIL_CHARS:
        raise ValueError("this is not an e-mail address")
    return found


def phone_number(text: str) -> str:
    """Return a number as E.164: `+86 138 0000 0000` is `+8613800000000`.

    Raises:
        ValueError: it is none, or has no country code.
    """
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        raise ValueError("this is not a phone number with its country code, such as +86 138 0000 0000") from None
    if not phonenumbers.is_possible_number(number):
        raise ValueError("no phone number has so many digits")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
