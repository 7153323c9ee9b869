# One message, three places. Two AWS IoT rules read the same messages:
#
#   spBv1.0/<group>/DDATA/<site>/<device> -- rule kinesis -- Kinesis stream -- pipe -- EventBridge bus
#                                         `- rule archive -- Firehose ------- S3: site/year/month/day/
#
# AWS IoT rules have no EventBridge action. A pipe on the stream that is there anyway needs no code
# and no queue of its own.

locals {
  # Rules take letters, digits and underscores.
  rule_prefix = replace(var.name, "-", "_")

  rule_names = {
    kinesis = "${local.rule_prefix}_kinesis"
    archive = "${local.rule_prefix}_archive"
  }

  rule_arns = {
    for route, name in local.rule_names :
    route => "arn:${var.partition}:iot:${var.region}:${var.account_id}:rule/${name}"
  }

  # The payload, and what only the topic knows: topic(4) is the Sparkplug edge node, one for each
  # site, topic(5) the device behind it. Births, deaths and commands are not routed.
  columns = "*, topic(3) AS message_type, topic(4) AS site, topic(5) AS asset, timestamp() AS received_at"
  where   = var.message_filter == "" ? "" : " WHERE ${var.message_filter}"
  sql     = "SELECT ${local.columns} FROM 'spBv1.0/${var.sparkplug_group_id}/DDATA/+/+'${local.where}"

  # Rights on the key, where it is one of the user's own: who writes data encrypts, who reads decrypts.
  kms_encrypt = [for key in compact([var.kms_key_arn]) : {
    Effect = "Allow", Action = ["kms:GenerateDataKey"], Resource = key
  }]
  kms_decrypt = [for key in compact([var.kms_key_arn]) : {
    Effect = "Allow", Action = ["kms:Decrypt"], Resource = key
  }]

  # Who may use a role: the service, and only for the resource of ours that the role is for.
  trusted = {
    rule_kinesis = { service = "iot", source = [local.rule_arns.kinesis] }
    rule_archive = { service = "iot", source = [local.rule_arns.archive] }
    rule_errors  = { service = "iot", source = [local.rule_arns.kinesis, local.rule_arns.archive] }
    firehose     = { service = "firehose", source = [local.firehose_arn] }
    pipe         = { service = "pipes", source = [local.pipe_arn] }
  }

  trust = {
    for role, by in local.trusted : role => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "${by.service}.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = {
          StringEquals = { "aws:SourceAccount" = var.account_id }
          ArnLike      = { "aws:SourceArn" = by.source }
        }
      }]
    })
  }
}
