"""Where and as whom: the settings that every AWS integration has."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class Access(BaseModel):
    """Region and credentials."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: str = Field(
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="AWS region.", examples=["eu-central-1"]
    )
    access_key_id: str | None = Field(
        default=None, max_length=128, description="Access key ID of an IAM user."
    )
    secret_access_key: SecretStr | None = Field(
        default=None, max_length=256, description="Secret of that access key."
    )
    session_token: SecretStr | None = Field(
        default=None, max_length=8192, description="Session token, with temporary keys only."
    )
    profile: str | None = Field(
        default=None,
        max_length=128,
        description="Profile of the hub's own AWS configuration instead of an access key; "
        "the operator must have released it (WATTWIRE_AWS_PROFILES).",
    )
    role_arn: str | None = Field(
        default=None,
        pattern=r"^arn:[a-z-]+:iam::\d{12}:role/\S+$",
        description="Role to assume with these credentials.",
    )
    external_id: str | None = Field(
        default=None,
        min_length=2,
        max_length=1224,
        description="External ID that the role's trust policy asks for.",
    )
    endpoint_url: str | None = Field(
        default=None, pattern=r"^https?://\S+$", description="Replaces the AWS endpoint."
    )

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key belong together")
        if (self.access_key_id is None) == (self.profile is None):
            raise ValueError("give either an access key or a profile")
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("external_id needs a role_arn")
        return self


def check_region(arn: str, region: str) -> None:
    """Raise ValueError for an ARN of another region: it would be signed for the wrong place."""
    its_own = arn.split(":")[3]
    if its_own != region:
        raise ValueError(f"{arn} is in {its_own}, the region is {region}")
