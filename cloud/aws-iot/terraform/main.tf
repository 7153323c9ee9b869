# AWS IoT for PowerMonitor 500 devices and Wattwire: who may connect (iot_core), and where messages
# go (data_routes). Every name begins with <project>-<environment>.

provider "aws" {
  region = var.region

  default_tags {
    tags = merge(var.tags, {
      Project     = var.project
      Environment = var.environment
      ManagedBy   = "terraform"
    })
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

# The endpoint of this account and region, with Amazon's own certificate authority (ATS).
data "aws_iot_endpoint" "data" {
  endpoint_type = "iot:Data-ATS"
}

locals {
  # The workspace is "default" or has the environment's name: see the variable's validation.
  name = "${var.project}-${var.environment}"
}

module "iot_core" {
  source = "./modules/iot_core"

  name                      = local.name
  region                    = var.region
  account_id                = data.aws_caller_identity.current.account_id
  partition                 = data.aws_partition.current.partition
  sparkplug_group_id        = var.sparkplug_group_id
  certificate_bucket        = var.certificate_bucket
  devices                   = var.devices
  claims                    = var.claims
  provisioning_enabled      = var.provisioning_enabled
  pre_provisioning_hook_arn = var.pre_provisioning_hook_arn
}

module "data_routes" {
  source = "./modules/data_routes"

  name                    = local.name
  region                  = var.region
  account_id              = data.aws_caller_identity.current.account_id
  partition               = data.aws_partition.current.partition
  kms_key_arn             = var.kms_key_arn
  sparkplug_group_id      = var.sparkplug_group_id
  message_filter          = var.message_filter
  kinesis_stream_name     = coalesce(var.kinesis_stream_name, "${local.name}-telemetry")
  kinesis_shard_count     = var.kinesis_shard_count
  kinesis_retention_hours = var.kinesis_retention_hours
  archive_enabled         = var.archive_enabled
  firehose_stream_name    = coalesce(var.firehose_stream_name, "${local.name}-archive")
  archive_bucket_name     = coalesce(var.archive_bucket_name, "${local.name}-archive-${data.aws_caller_identity.current.account_id}-${var.region}")
  archive_buffer_mib      = var.archive_buffer_mib
  archive_buffer_seconds  = var.archive_buffer_seconds
  archive_transition_days = var.archive_transition_days
  archive_expiration_days = var.archive_expiration_days
  events_enabled          = var.events_enabled
  event_bus_name          = coalesce(var.event_bus_name, "${local.name}-telemetry")
  event_filter            = var.event_filter
  event_queue_arns        = var.event_queue_arns
  log_retention_days      = var.log_retention_days
}
