# Certificates for devices that are named in the variables. Only signing requests come in and only
# certificates go out: no private key is in the state or in the bucket.

locals {
  certificates = merge(
    { for name in var.devices : "devices/${name}" => aws_iot_policy.device.name },
    { for name in var.claims : "claims/${name}" => aws_iot_policy.claim.name },
  )
}

# The object needs a Content-Type of text/plain, or Terraform does not read its body.
data "aws_s3_object" "request" {
  for_each = local.certificates

  bucket = var.certificate_bucket
  key    = "csr/${each.key}.pem"
}

resource "aws_iot_certificate" "issued" {
  for_each = local.certificates

  csr    = data.aws_s3_object.request[each.key].body
  active = true
}

resource "aws_iot_policy_attachment" "issued" {
  for_each = local.certificates

  policy = each.value
  target = aws_iot_certificate.issued[each.key].arn
}

resource "aws_s3_object" "certificate" {
  for_each = local.certificates

  bucket       = var.certificate_bucket
  key          = "certificates/${each.key}.pem"
  content      = aws_iot_certificate.issued[each.key].certificate_pem
  content_type = "application/x-pem-file"
}

resource "aws_iot_thing" "device" {
  for_each = var.devices

  name            = each.key
  thing_type_name = aws_iot_thing_type.pm500.name
}

resource "aws_iot_thing_group_membership" "device" {
  for_each = var.devices

  thing_name       = aws_iot_thing.device[each.key].name
  thing_group_name = aws_iot_thing_group.devices.name
}

resource "aws_iot_thing_principal_attachment" "device" {
  for_each = var.devices

  thing     = aws_iot_thing.device[each.key].name
  principal = aws_iot_certificate.issued["devices/${each.key}"].arn
}
