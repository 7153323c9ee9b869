# Who may publish and subscribe to what.

locals {
  # $$ writes a dollar sign: AWS IoT fills in the name of the thing that is connected.
  thing = "$${iot:Connection.Thing.ThingName}"
  group = "spBv1.0/${var.sparkplug_group_id}"

  # A thing is the Sparkplug edge node of its name. After the edge node's name come the devices
  # behind it, which nobody lists here: hence the wildcard behind the thing's own level.
  published = [
    "${local.group}/NBIRTH/${local.thing}",
    "${local.group}/NDATA/${local.thing}",
    "${local.group}/NDEATH/${local.thing}",
    "${local.group}/DBIRTH/${local.thing}/*",
    "${local.group}/DDATA/${local.thing}/*",
    "${local.group}/DDEATH/${local.thing}/*",
  ]

  commanded = [
    "${local.group}/NCMD/${local.thing}",
    "${local.group}/DCMD/${local.thing}/*",
  ]

  # Certificates are made from signing requests only, so that a private key stays where it was made.
  claimed = [
    "$aws/certificates/create-from-csr",
    "$aws/provisioning-templates/${var.name}-fleet/provision",
  ]
}

resource "aws_iot_policy" "device" {
  name = "${var.name}-device"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "iot:Connect"
        Resource  = "${local.arns}:client/${local.thing}"
        Condition = { Bool = { "iot:Connection.Thing.IsAttached" = "true" } }
      },
      {
        Effect   = "Allow"
        Action   = "iot:Publish"
        Resource = [for topic in local.published : "${local.arns}:topic/${topic}"]
      },
      {
        # Subscribing asks for the filter, receiving for the topic: different resources.
        Effect   = "Allow"
        Action   = "iot:Subscribe"
        Resource = [for topic in local.commanded : "${local.arns}:topicfilter/${topic}"]
      },
      {
        Effect   = "Allow"
        Action   = "iot:Receive"
        Resource = [for topic in local.commanded : "${local.arns}:topic/${topic}"]
      },
    ]
  })
}

resource "aws_iot_policy" "claim" {
  name = "${var.name}-claim"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # A device that is not registered has no name yet that its client id could be held to.
        Effect   = "Allow"
        Action   = "iot:Connect"
        Resource = "${local.arns}:client/*"
      },
      {
        # Behind these come the payload's format and, in answers, /accepted or /rejected.
        Effect   = "Allow"
        Action   = ["iot:Publish", "iot:Receive"]
        Resource = [for topic in local.claimed : "${local.arns}:topic/${topic}/*"]
      },
      {
        Effect   = "Allow"
        Action   = "iot:Subscribe"
        Resource = [for topic in local.claimed : "${local.arns}:topicfilter/${topic}/*"]
      },
    ]
  })
}

# For Wattwire's integration aws_iot, which publishes over HTTPS with IAM credentials, for devices
# of all sites: attach it to the user or role that the integration uses.
resource "aws_iam_policy" "publisher" {
  name        = "${var.name}-publisher"
  description = "Publish device data to AWS IoT"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Sites and devices are not listed here, so the two levels below DDATA stay open.
        Effect   = "Allow"
        Action   = "iot:Publish"
        Resource = "${local.arns}:topic/${local.group}/DDATA/*"
      },
      {
        # This action knows no resources: AWS asks for the wildcard.
        Effect   = "Allow"
        Action   = "iot:DescribeEndpoint"
        Resource = "*"
      },
    ]
  })
}
