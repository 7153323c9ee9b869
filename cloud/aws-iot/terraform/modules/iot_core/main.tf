# What a device is in AWS IoT, and how it becomes one.

locals {
  arns = "arn:${var.partition}:iot:${var.region}:${var.account_id}"
}

resource "aws_iot_thing_type" "pm500" {
  name = "${var.name}-pm500"

  properties {
    description           = "PowerMonitor 500, or a gateway that publishes for some"
    searchable_attributes = ["serial_number"]
  }
}

resource "aws_iot_thing_group" "devices" {
  name = "${var.name}-devices"

  properties {
    description = "Devices that publish to spBv1.0/${var.sparkplug_group_id}"
  }
}

# Fleet provisioning: a device with a claim certificate has its own certificate signed and is
# registered under the name that it gives (and that the hook lets pass).
resource "aws_iot_provisioning_template" "fleet" {
  name                  = "${var.name}-fleet"
  description           = "Registers a device as a Sparkplug edge node"
  enabled               = var.provisioning_enabled
  provisioning_role_arn = aws_iam_role.provisioning.arn

  template_body = jsonencode({
    Parameters = {
      ThingName                   = { Type = "String" }
      SerialNumber                = { Type = "String" }
      "AWS::IoT::Certificate::Id" = { Type = "String" }
    }
    Resources = {
      certificate = {
        Type = "AWS::IoT::Certificate"
        Properties = {
          CertificateId = { Ref = "AWS::IoT::Certificate::Id" }
          Status        = "Active"
        }
      }
      policy = {
        Type       = "AWS::IoT::Policy"
        Properties = { PolicyName = aws_iot_policy.device.name }
      }
      thing = {
        Type = "AWS::IoT::Thing"
        Properties = {
          ThingName        = { Ref = "ThingName" }
          ThingTypeName    = aws_iot_thing_type.pm500.name
          ThingGroups      = [aws_iot_thing_group.devices.name]
          AttributePayload = { serial_number = { Ref = "SerialNumber" } }
        }
        # A thing that is there already is not taken over by whoever gives its name.
        OverrideSettings = {
          AttributePayload = "FAIL"
          ThingTypeName    = "FAIL"
          ThingGroups      = "FAIL"
        }
      }
    }
  })

  dynamic "pre_provisioning_hook" {
    for_each = var.pre_provisioning_hook_arn == null ? [] : [var.pre_provisioning_hook_arn]

    content {
      payload_version = "2020-04-01"
      target_arn      = pre_provisioning_hook.value
    }
  }
}

resource "aws_iam_role" "provisioning" {
  name        = "${var.name}-provisioning"
  description = "AWS IoT registers devices as this role"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "iot.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = var.account_id }
        # The template's ARN, which cannot be referred to: the template refers to this role.
        ArnLike = { "aws:SourceArn" = "${local.arns}:provisioningtemplate/${var.name}-fleet" }
      }
    }]
  })
}

# AWS' own policy for this purpose. It allows more than one template needs (things, certificates and
# policies of any name), and AWS keeps it complete: registration makes calls that AWS does not list.
resource "aws_iam_role_policy_attachment" "provisioning" {
  role       = aws_iam_role.provisioning.name
  policy_arn = "arn:${var.partition}:iam::aws:policy/service-role/AWSIoTThingsRegistration"
}
